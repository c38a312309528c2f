"""`dovebeam export` on engines that others wrote."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dovebeam.transforms import load_config
from support.jobs import warm_commands
from support.jobs.commands import Ran, dovebeam_process, exporter, metric, write_config, write_events
from support.jobs.engines import (
    WAYS,
    WITHOUT_PROCESSES,
    children,
    command_line,
    listening_addresses,
    prism_options,
    prism_server,
    process_options,
)
from support.oracle.corpus import CORPUS, corpus_lines
from support.oracle.corpus_targets import Targets, check_as_multisets, check_http, check_log, config_files, run_targets
from support.programs import HANG_SECS, wait_until

REPEATS = 15
LOOPBACK_IN_PROC = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    """Fresh targets."""
    with run_targets(tmp_path) as fresh:
        yield fresh


def two_inputs(folder: Path) -> list[str]:
    """The corpus in two files, so that two workers have something to do."""
    lines = corpus_lines("events.tab.gz")
    half = len(lines) // 2
    paths = [write_events(folder, lines[:half], "1.tab"), write_events(folder, lines[half:], "2.tab")]
    return [word for path in paths for word in ("--input", str(path))]


def check_corpus(ran: Ran, targets: Targets, ledger: Path) -> None:
    """Everything arrived, and the ledger knows."""
    assert ran.code == 0, ran.err
    check_as_multisets(load_config([CORPUS / "dovecot.conf"]), targets)
    check_http(targets)
    check_log(targets, bytes)
    account = json.loads(ledger.read_text())
    assert account["read"] == len(corpus_lines("events.tab.gz")) == account["matched"] + account["unmatched"]
    assert all(each["formatted"] == each["delivered"] for each in account["exporters"])


@pytest.mark.parametrize("way", WAYS)
def test_the_corpus(way: str, targets: Targets, tmp_path: Path) -> None:
    """All five kinds of targets get what they got from Dovecot, in whatever order; the ledger counts every event."""
    configs = [word for path in config_files(targets, tmp_path) for word in ("--config", str(path))]
    ledger = tmp_path / "ledger.json"
    ran = dovebeam_process("export", *configs, *two_inputs(tmp_path), "--ledger", ledger, *WAYS[way](tmp_path))
    check_corpus(ran, targets, ledger)


@pytest.mark.parametrize("environment", ["loopback", "process"])
def test_an_engine_that_runs_already(environment: str, tmp_path: Path) -> None:
    """With --job_endpoint it is the same, whether the workers are here or the engine's; --wait brings the ledger."""
    lines = corpus_lines("events.json.gz")[:2000]
    config = file_config(tmp_path, "file_writing = shards")
    job = ["export", "--config", config, "--input", write_events(tmp_path, lines), "--ledger", tmp_path / "ledger"]
    with prism_server(tmp_path) as address:
        where = ["--runner=PortableRunner", f"--job_endpoint={address}"]
        where += ["--environment_type=LOOPBACK"] if environment == "loopback" else process_options(tmp_path)
        ran = dovebeam_process(*job, "--wait", *where)
    assert ran.code == 0, ran.err
    assert Counter(written(tmp_path)) == Counter(lines)
    assert json.loads((tmp_path / "ledger").read_text())["read"] == 2000
    assert ("job job-001 is" in ran.err) == (environment == "process")  # named, as it could be left alone


def file_config(folder: Path, *settings: str) -> Path:
    """One exporter, to the file `target` or files whose names begin so."""
    target = f"file_path = {folder}/target"
    return write_config(folder, exporter("f", "file", "json", target, *settings), metric("m", "event=*", "f"))


def written(folder: Path) -> list[bytes]:
    """The lines of the target."""
    return [line for path in folder.glob("target*") for line in path.read_bytes().splitlines()]


def test_rejects(tmp_path: Path) -> None:
    """What is no event ends in the rejects of this machine; the job is done."""
    events = write_events(tmp_path, [*corpus_lines("events.json.gz")[:1000], b'{"event": nonsense'])
    config = write_config(
        tmp_path, exporter("f", "file", "json", f"file_path = {tmp_path}/f"), metric("m", "event=*", "f")
    )
    rejects = tmp_path / "rejects.jsonl"
    ran = dovebeam_process("export", "--config", config, "--input", events, "--rejects", rejects, *prism_options())
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "f").read_bytes().count(b"\n") == 1000
    (reject,) = map(json.loads, rejects.read_text().splitlines())
    assert (reject["payloadString"], reject["sourceUri"]) == ('{"event": nonsense', str(events))


@pytest.mark.parametrize("way", WITHOUT_PROCESSES)
def test_a_failing_target(way: str, tmp_path: Path) -> None:
    """The sentence about a full disk or a missing folder is the same as without an engine, with the exporter's place."""
    events = write_events(tmp_path, corpus_lines("events.json.gz")[:100])
    config = write_config(
        tmp_path, exporter("f", "file", "json", f"file_path = {tmp_path}/no/f"), metric("m", "event=*", "f")
    )
    ran = dovebeam_process("export", "--config", config, "--input", events, *WAYS[way](tmp_path))
    assert ran.code == 1
    assert f"{config}:3:" in ran.err
    assert f"open({tmp_path}/no/f) failed: No such file or directory" in ran.err
    assert "Traceback" not in ran.err


@contextmanager
def running(arguments: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    """The real command; nothing of it outlives the block."""
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", *map(str, arguments)]
    process = warm_commands.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """What it said on standard error until its end."""
    return process.communicate(timeout=HANG_SECS)[1]


def long_job(folder: Path, *settings: str) -> list[object]:
    """The command line of an export of the same events many times, which takes some seconds."""
    events = folder / "events.json.gz"
    once = b"".join(line + b"\n" for line in corpus_lines("events.json.gz")[:20_000])
    events.write_bytes(gzip.compress(once, 1) * REPEATS)
    return ["export", "--config", file_config(folder, *settings), "--input", events]


def wait_for_work(process: subprocess.Popen[str], folder: Path) -> None:
    """Returns when a job is in the middle of its work."""

    def has_written() -> bool:
        written = (path for path in folder.rglob("*") if "flink" not in path.relative_to(folder).parts)
        return any(path.stat().st_size > 1 << 20 for path in written if path.suffix not in {".gz", ".log"})

    wait_until(lambda: process.poll() is not None or has_written(), "the job to work")
    assert process.poll() is None, end(process)


@pytest.mark.parametrize("writing", ["append", "shards"])
def test_the_worker_is_killed(writing: str, tmp_path: Path) -> None:
    """The job fails at once instead of waiting; run again, every event is there at least once, in shards exactly once."""
    arguments = [*long_job(tmp_path, f"file_writing = {writing}"), *prism_options()]
    with running([*arguments, *process_options(tmp_path)]) as process:
        wait_for_work(process, tmp_path)
        workers = [child for child in children(process.pid) if "dovebeam.pipelines.running.boot" in command_line(child)]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)
        said = end(process)
    assert process.returncode == 1, said
    assert "worker" in said
    assert "Traceback" not in said
    before = Counter(written(tmp_path))
    again = dovebeam_process(*arguments)
    assert again.code == 0, again.err
    expected = Counter(
        {line: REPEATS * count for line, count in Counter(corpus_lines("events.json.gz")[:20_000]).items()}
    )
    after = Counter(written(tmp_path))
    if writing == "shards":
        assert (before, after) == (Counter(), expected)
    else:
        assert before
        assert after - before >= expected


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a job on an engine between two batches, with an account, and leaves no process behind."""
    with running([*long_job(tmp_path), *prism_options()]) as process:
        wait_for_work(process, tmp_path)
        processes = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        said = end(process)
    assert process.returncode == 130, said
    assert "events were read" in said
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in processes), "processes to end")
    assert (tmp_path / "target").read_bytes().endswith(b"\n")


@pytest.mark.parametrize("way", [way for way in WAYS if "flink" not in way or "processes" in way])
def test_nothing_listens_to_the_network(way: str, tmp_path: Path) -> None:
    """Neither workers nor the engine of the tests can be reached from other machines."""
    with running([*long_job(tmp_path), *WAYS[way](tmp_path)]) as process:
        wait_for_work(process, tmp_path)
        found = listening_addresses(process.pid)
    assert found
    assert found <= LOOPBACK_IN_PROC
