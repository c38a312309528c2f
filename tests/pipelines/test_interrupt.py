"""Ctrl-C, SIGTERM and SIGHUP while a job runs."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import signal
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from support.jobs.commands import (
    dovebeam,
    exporter,
    interrupted,
    metric,
    write_config,
)
from support.jobs.export_command import everything_to
from support.jobs.fault_server_job import PATIENT, FaultJob
from support.oracle.corpus import CORPUS, corpus_lines
from support.servers.fault_server_control import fault_server


@pytest.fixture
def long_input(tmp_path: Path) -> Path:
    """Enough for some seconds."""
    path = tmp_path / "long.json.gz"
    path.write_bytes((CORPUS / "events.json.gz").read_bytes() * 40)
    return path


def whole_lines(path: Path) -> bool:
    """Whether a file has lines, and only whole ones."""
    content = path.read_bytes()
    return content.endswith(b"\n") and all(line.endswith(b"}") for line in content.splitlines())


@pytest.mark.parametrize("command", ["archive", "export", "both"])
def test_interrupt_before_files_have_names(command: str, tmp_path: Path, long_input: Path) -> None:
    """Whoever stops an archive or shards is not told that something is complete: nothing has its name."""
    folder = tmp_path / "files"
    folder.mkdir()
    arguments = ["archive", "--output", folder]
    if command != "archive":
        blocks = [exporter("s", "file", "json", f"file_path = {folder}/x.json", "file_writing = shards")]
        blocks += [exporter("d", "drop")] if command == "both" else []
        metrics = [metric(f"m{name}", "event=*", name) for name in ("s", "d")[: len(blocks)]]
        arguments = ["export", "--config", write_config(tmp_path, *blocks, *metrics)]
    ran = interrupted([*arguments, "--input", long_input], (folder / ".dovebeam").exists, signal.SIGINT)
    assert ran.code == 130, ran.err
    words = "is complete, but for s, whose files" if command == "both" else "have no name yet and are not there"
    assert words in ran.err
    assert not [path for path in folder.iterdir() if path.name != ".dovebeam"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupt(number: int, code: int, tmp_path: Path, long_input: Path) -> None:
    """Each of them stops the job in the middle; they say what is complete, and leave whole lines."""
    target = tmp_path / "out"
    config = everything_to(tmp_path, "file", f"file_path = {target}")
    ledger = tmp_path / "ledger.json"
    ran = interrupted(["export", "--config", config, "--input", long_input, "--ledger", ledger], target.exists, number)
    assert ran.code == code, ran.err
    assert "events were read" in ran.err
    assert "Traceback" not in ran.err
    assert whole_lines(target)
    delivered = int(ran.err.partition(" payloads delivered")[0].rpartition(" ")[2].replace(",", ""))
    assert target.read_bytes().count(b"\n") == delivered
    assert unfinished(ledger)["delivered"] == delivered
    assert "formatted" in ran.out


def unfinished(path: Path) -> dict[str, Any]:
    """The ledger of a job that was stopped or failed, whose numbers can be those of what happened."""
    account: dict[str, Any] = json.loads(path.read_text())
    assert account["complete"] is False
    assert account["read"] == account["matched"] + account["unmatched"] + account["rejected"]["decode"]
    (exporter,) = account["exporters"]
    assert exporter["delivered"] + exporter["rejected"] <= exporter["formatted"] <= account["read"]
    return account


@pytest.mark.parametrize("workers", [(), ("--direct_num_workers=2", "--direct_running_mode=multi_processing")])
def test_account_of_a_batch_that_was_torn(workers: tuple[str, ...], tmp_path: Path) -> None:
    """What arrived of a batch is counted although the batch never ended: no more than the target saw, and no less."""
    job, connections = FaultJob(tmp_path), 4
    with fault_server(tmp_path, {"delay_secs": 0.2}) as server:
        job.prepare(server.url, (*PATIENT, f"http_client_max_parallel_connections = {connections}"), events=600)
        seen: list[int] = []

        def has_begun() -> bool:
            seen.append(server.delivered().total() if server.log.exists() else 0)
            return seen[-1] > 10

        ran = job.interrupt(has_begun, signal.SIGINT, *workers)
        assert ran.code == 130, ran.err
        assert "in the middle of a batch" in ran.err
        assert ", at least " in ran.err
        account = unfinished(job.ledger_path)
        assert seen[-1] - 2 * connections <= account["delivered"] <= server.delivered().total()


def test_a_failed_job_has_an_account(tmp_path: Path, events: Path) -> None:
    """What was done before a target failed is in the ledger, and does not look like the end of a whole job."""
    config = everything_to(tmp_path, "file", "file_path = /dev/full")
    ledger = tmp_path / "ledger.json"
    ran = dovebeam("export", "--config", config, "--input", events, "--ledger", ledger)
    assert ran.code == 1
    assert "No space left" in ran.err
    assert unfinished(ledger)["delivered"] == 0
    assert ran.out == ""


@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGHUP, True), (signal.SIGTERM, True)]
)
def test_interrupt_ends_worker_processes(number: int, group: bool, tmp_path: Path) -> None:
    """No worker outlives its launcher, whether the signal reaches it, too, or not."""
    for index in range(4):
        lines = corpus_lines("events.json.gz")
        (tmp_path / f"long{index}.json.gz").write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), 1) * 10)
    target = tmp_path / "out"
    config = everything_to(tmp_path, "file", f"file_path = {target}")
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    arguments = ["export", "--config", config, "--input", tmp_path / "long*.gz", *options]
    ran = interrupted(arguments, target.exists, number, group=group)
    assert ran.code == 128 + number, ran.err
    assert "events were read" in ran.err
    assert "Traceback" not in ran.err
    if "in the middle of a batch" in ran.err:  # for which it has five seconds, too few on a busy machine
        torn = [line for line in target.read_bytes().splitlines() if not line.endswith(b"}")]
        assert len(torn) <= 2, "more was torn than one batch of each worker"
    else:
        assert "between two batches" in ran.err
        assert whole_lines(target)


@pytest.mark.parametrize("options", [(), ("--direct_num_workers=2", "--direct_running_mode=multi_processing")])
def test_interrupt_of_a_job_that_hangs(options: tuple[str, ...], tmp_path: Path, events: Path) -> None:
    """A target that takes nothing more does not keep the job, nor its worker processes, from ending."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def has_begun() -> bool:
        return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder) > 0

    try:
        config = everything_to(tmp_path, "file", f"file_path = {pipe}")
        ran = interrupted(["export", "--config", config, "--input", events, *options], has_begun, signal.SIGINT)
    finally:
        os.close(reader)
    assert ran.code == 130, ran.err
    assert "in the middle of a batch" in ran.err
    assert "Traceback" not in ran.err
