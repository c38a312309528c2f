"""The account of a stream that is ended at once, or fails: what was acknowledged, as that of no finished stream."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dovebeam.pipelines.stream.account import Acknowledged, StreamAccount
from dovebeam.pipelines.stream.queues import StreamQueues
from dovebeam.transforms import load_config
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS
from support.jobs.commands import dovebeam, exporter, metric, write_config
from support.jobs.fault_server_job import event_line
from support.jobs.stream_command import Job, line
from support.programs import HANG_SECS, wait_until
from support.servers.fault_server_control import fault_server

HANGS = {"action": "never"}
COUNT = 20


def events(begin: int, end: int) -> bytes:
    """Events of these numbers."""
    return b"".join(event_line(f"e{number:07}", 60).encode() + b"\n" for number in range(begin, end))


def configure(job: Job, url: str, *, with_file: bool) -> None:
    """An exporter whose target hangs, if it is told to; beside one that writes a file, or alone."""
    settings = (f"http_post_url = {url}", "http_client_request_absolute_timeout = 10 min")
    blocks = [exporter("http", "http-post", "json", *settings), metric("m1", "event=*", "http")]
    if with_file:
        blocks += [exporter("file", "file", "json", f"file_path = {job.out}"), metric("m2", "event=*", "file")]
    write_config(job.folder, *blocks)


def end_at_once(process: subprocess.Popen[str]) -> str:
    """Ends a stream by two signals, as an operator does who has no patience; what it said."""
    process.send_signal(signal.SIGTERM)
    said = next(told for told in process.stderr if "finishing what was read" in told)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    return said + err


def ledger_of(job: Job) -> dict[str, Any]:
    """The ledger, which is not that of a finished stream."""
    ledger: dict[str, Any] = json.loads((job.folder / "ledger.json").read_bytes())
    assert (ledger["complete"], ledger["imbalances"]) == (False, [])
    return ledger


def test_ended_at_once(tmp_path: Path) -> None:
    """The ledger has what was acknowledged and no more; the next start delivers the rest, and only that."""
    job = Job(tmp_path)
    with fault_server(tmp_path, {}) as server:
        configure(job, server.url, with_file=False)
        job.append(events(0, 1))
        with job.running() as process:
            wait_until(lambda: job.acknowledged() == len(events(0, 1)), "the first one")
            server.behave(HANGS)
            job.append(events(1, COUNT))
            wait_until(lambda: len(server.seen()) > 1, "another request")
            err = end_at_once(process)
        ledger = ledger_of(job)
        assert (ledger["read"], ledger["matched"], ledger["delivered"]) == (1, 1, 1)
        assert "What was acknowledged is not delivered again; what was in hand comes again at the next start." in err
        assert "running again" not in err
        server.behave({})
        with job.running() as process:
            wait_until(lambda: len(server.delivered()) == COUNT, "the rest")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=HANG_SECS)
        assert server.delivered()["e0000000"] == 1
    ledger = json.loads((tmp_path / "ledger.json").read_bytes())
    assert (ledger["complete"], ledger["read"], ledger["delivered"]) == (True, COUNT - 1, COUNT - 1)


def test_ended_at_once_with_queues(tmp_path: Path) -> None:
    """Each exporter has its own numbers: what it has, and what waits for it."""
    job = Job(tmp_path)
    with fault_server(tmp_path, HANGS) as server:
        configure(job, server.url, with_file=True)
        job.append(events(0, COUNT))
        with job.running() as process:
            wait_until(lambda: job.acknowledged() == len(events(0, COUNT)), "the queues to have them")
            wait_until(lambda: job.out.exists() and job.out.read_bytes().count(b"\n") == COUNT, "the file")
            err = end_at_once(process)
    ledger = ledger_of(job)
    accounts = {each["name"]: each for each in ledger["exporters"]}
    assert ledger["read"] == COUNT
    assert (accounts["file"]["delivered"], accounts["file"]["waiting"]) == (COUNT, 0)
    assert (accounts["http"]["delivered"], accounts["http"]["waiting"]) == (0, COUNT)
    assert "comes again at the next start, and what waits in the queues of exporters is delivered then." in err


def test_failed(tmp_path: Path) -> None:
    """What failed for good has a ledger of what was acknowledged until then, and only its cause is printed."""
    job = Job(tmp_path, f"unix_path = {tmp_path / 'none'}", driver="unix")
    job.append(line(1))
    ran = dovebeam("stream", *job.options)
    assert (ran.code, ran.out) == (1, "")
    assert "event_exporter x: connect(" in ran.err
    ledger = ledger_of(job)
    assert (ledger["read"], ledger["delivered"]) == (0, 0)


def test_a_stream_that_never_began_leaves_the_ledger_alone(tmp_path: Path) -> None:
    """It may be that of another stream, which runs."""
    job = Job(tmp_path)
    with job.running() as process:
        job.append(line(1))
        job.wait_for(1)
        process.send_signal(signal.SIGSTOP)  # so that it does not write its own
        before = sorted(tmp_path.glob("ledger*"))
        ran = dovebeam("stream", *job.options)
        assert ran.code == 1
        assert "another dovebeam stream uses this state" in ran.err
        assert sorted(tmp_path.glob("ledger*")) == before


@pytest.mark.parametrize("segment_fails", [False, True])
def test_counters_at_any_moment(*, segment_fails: bool) -> None:
    """Those of ended segments and those of acknowledged bundles, each once; a bundle in hand is in none."""
    BUNDLE_COUNTERS.take()
    known = Acknowledged()
    for total in (1, 2):
        BUNDLE_COUNTERS.begin()
        BUNDLE_COUNTERS.add("read", 1)
        BUNDLE_COUNTERS.keep()
        assert known.so_far() == {"read": total}
    BUNDLE_COUNTERS.begin()
    BUNDLE_COUNTERS.add("read", 100)
    assert known.so_far() == {"read": 2}
    counted = [("read", 1), ("read", 1), ("files", 1)]  # as Beam tells a counter that two steps have
    ended = {"read": 2} if segment_fails else {"read": 2, "files": 1}
    assert known.end(None if segment_fails else counted) == ended
    assert known.so_far() == ended


def test_counters_of_several_steps(tmp_path: Path) -> None:
    """What an engine tells of one counter step by step is added up in the ledger of a stream that it has ended."""
    config = load_config(write_config(tmp_path, exporter("x", "drop"), metric("m", "event=*", "x")))
    queues = StreamQueues("", config, {}, rejects="rejects", max_bytes=1)
    path = tmp_path / "ledger.json"
    account = StreamAccount(config, {}, queues, path=str(path), debug=False)
    steps = [
        (name, value) for value in (2, 3) for name in ("read", "matched", "matched/m", "formatted/x", "delivered/x")
    ]
    assert account.close(account.with_queues(steps)) == 0
    ledger = json.loads(path.read_bytes())
    assert (ledger["read"], ledger["matched"], ledger["delivered"]) == (5, 5, 5)
