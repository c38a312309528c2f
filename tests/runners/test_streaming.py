"""`dovebeam stream` on an engine that others wrote, fed by files that grow and by a collector."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.jobs import warm_commands
from support.jobs.collector import run_collector
from support.jobs.commands import exporter, metric, write_config
from support.jobs.engines import children, command_line, prism_options, process_options
from support.oracle.corpus import check_arrived, corpus_lines
from support.programs import HANG_SECS, wait_until


def stream_command(folder: Path, follow: Path, *options: str) -> list[str]:
    """A stream from files to the file `target`."""
    target = f"file_path = {folder}/target"
    config = write_config(folder, exporter("f", "file", "json", target), metric("m", "event=*", "f"))
    job = ["--config", config, "--follow", follow, "--state", folder / "state", "--rejects", folder / "rejects"]
    return [sys.executable, "-m", "dovebeam.pipelines.cli", "stream", *map(str, job), *options]


@contextmanager
def running_stream(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The stream; whatever is left of it at the end is killed."""
    with (folder / "stream.log").open("ab") as log:
        process = warm_commands.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(HANG_SECS)


def arrived(folder: Path) -> list[bytes]:
    """The lines of the target."""
    target = folder / "target"
    return target.read_bytes().split(b"\n")[:-1] if target.exists() else []


def said(folder: Path) -> str:
    """All messages of the stream."""
    return (folder / "stream.log").read_text()


def wait_for(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when so many lines are in the target."""
    wait_until(lambda: process.poll() is not None or len(arrived(folder)) >= count, f"{count} lines")
    assert process.poll() is None, said(folder)


def wait_for_all(folder: Path, lines: Sequence[bytes], process: subprocess.Popen[bytes]) -> None:
    """Returns when all of these lines are in the target."""
    wait_until(lambda: process.poll() is not None or set(arrived(folder)) >= set(lines), "all events")
    assert process.poll() is None, said(folder)


@pytest.mark.parametrize("workers", ["launcher", "process"])
def test_files_that_grow(workers: str, tmp_path: Path) -> None:
    """Lines appear at the target soon after they were written, each once; SIGTERM drains the stream, code 0."""
    lines = list(dict.fromkeys(corpus_lines("events.json.gz")))[:3000]
    spool = tmp_path / "spool"
    spool.mkdir()
    options = prism_options() + (process_options(tmp_path) if workers == "process" else [])
    with running_stream(stream_command(tmp_path, spool, *options), tmp_path) as process:
        for number in range(3):
            with (spool / f"{number}.log").open("ab") as file:
                for line in lines[number * 1000 : (number + 1) * 1000]:
                    file.write(line + b"\n")
            wait_for(tmp_path, (number + 1) * 1000, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECS) == 0, said(tmp_path)
    assert Counter(arrived(tmp_path)) == Counter(lines)


def test_the_worker_is_killed(tmp_path: Path) -> None:
    """The stream fails in bounded time; started again, it goes on where it had stopped, and no event is missing."""
    lines = list(dict.fromkeys(corpus_lines("events.json.gz")))[:20_000]
    events = tmp_path / "events.log"
    events.write_bytes(b"".join(line + b"\n" for line in lines[:10_000]))
    command = stream_command(tmp_path, events, *prism_options(), *process_options(tmp_path))
    with running_stream(command, tmp_path) as process:
        wait_for(tmp_path, 1000, process)
        with events.open("ab") as file:
            file.writelines(line + b"\n" for line in lines[10_000:])
        (worker,) = [
            child for child in children(process.pid) if "dovebeam.pipelines.running.boot" in command_line(child)
        ]
        os.kill(worker, signal.SIGKILL)
        assert process.wait(HANG_SECS) == 1, said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    with running_stream(command, tmp_path) as process:
        wait_for_all(tmp_path, lines, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECS) == 0, said(tmp_path)
    check_arrived(arrived(tmp_path), lines, torn=1)
    assert len(arrived(tmp_path)) < 2 * len(lines)


def test_from_a_collector(tmp_path: Path) -> None:
    """What Dovecot's driver would send to a collector comes out at the stream's target, across a restart of both."""
    lines = list(dict.fromkeys(corpus_lines("events.json.gz")))[:4000]
    command = stream_command(tmp_path, tmp_path / "spool", *prism_options())
    (tmp_path / "spool").mkdir()
    for half in (lines[:2000], lines[2000:]):
        with run_collector(tmp_path) as collector, running_stream(command, tmp_path) as process:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(collector.socket))
                for line in half:
                    peer.sendall(line + b"\n")
                peer.sendall(b"torn, and not followed")
            wait_for_all(tmp_path, half, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_SECS) == 0, said(tmp_path)
            assert collector.stop() == 0
    assert Counter(arrived(tmp_path)) == Counter(lines)
    assert (tmp_path / "rejects").read_bytes() == b""
    assert collector.torn.count(b"\n") == 2


def test_single_lines(tmp_path: Path) -> None:
    """Each is delivered without waiting for the next, on an engine, too."""
    lines = list(dict.fromkeys(corpus_lines("events.json.gz")))[:20]
    events = tmp_path / "events.log"
    events.write_bytes(lines[0] + b"\n")
    with running_stream(stream_command(tmp_path, events, *prism_options()), tmp_path) as process:
        wait_for(tmp_path, 1, process)
        for number, line in enumerate(lines[1:], 2):
            with events.open("ab") as file:
                file.write(line + b"\n")
            wait_for(tmp_path, number, process)
