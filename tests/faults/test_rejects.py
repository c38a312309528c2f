"""Rejects as real processes make them and send them again, until every event has arrived."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dovebeam.transforms.events.reject import Reject, reject_from_json
from support.jobs.commands import Ran, dovebeam_process
from support.jobs.delivery_job import ids_in
from support.jobs.fault_server_job import FaultJob
from support.programs import HANG_SECS, leave_out, require_program
from support.servers.fault_server_control import fault_server

EVENTS = 2000
_TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def resend(job: FaultJob, rejects: object, output: Path, *more: object) -> Ran:
    """Sends rejects again; what fails once more goes to another file."""
    return dovebeam_process(
        *("export", "--config", job.folder / "dovecot.conf", "--input", rejects, "--input_format", "rejects"),
        *("--rejects", output, "--ledger", job.ledger_path, *more),
    )


def read(path: Path) -> list[Reject]:
    """The records of a file."""
    return [reject_from_json(line) for line in path.read_bytes().splitlines()]


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of 64 KiB at a path."""
    if os.geteuid() != 0:
        leave_out("mounting a small disk takes root")
    path.mkdir()
    command = [require_program("mount"), "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    subprocess.run(command, check=True, timeout=HANG_SECS)
    try:
        yield
    finally:
        subprocess.run([require_program("umount"), "-l", str(path)], check=True, timeout=HANG_SECS)


@pytest.mark.parametrize("workers", [(), _TWO_WORKERS], ids=["in process", "two workers"])
def test_dead_target_comes_back(job: FaultJob, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Every event of a refusing target is a reject; sent again, some fail once more; in the end each arrived once."""
    second, third = tmp_path / "second.jsonl", tmp_path / "third.jsonl"
    with fault_server(tmp_path, {"status": 500}) as server:
        job.prepare(server.url, events=EVENTS)
        job.check(job.run(), server, delivered=0)

        server.behave({"requests": 700}, {"status": 503, "requests": 600}, {})
        ran = resend(job, job.rejects_path, second, *workers)
        assert ran.code == 0, ran.err
        left = read(second)
        assert len(left) == 600
        assert {(reject.attempts, reject.http_status, reject.stage) for reject in left} == {(2, 503, "deliver")}
        assert set(server.delivered()) | set(ids_in(b"\n".join(each.payload_bytes for each in left))) == set(job.ids)

        ran = resend(job, second, third)
        assert ran.code == 0, ran.err
        assert third.read_bytes() == b""
        assert server.delivered() == dict.fromkeys(job.ids, 1)
    ledger = job.ledger()
    assert ledger["imbalances"] == []
    assert (ledger["read"], ledger["resent"], ledger["delivered"]) == (600, 600, 600)


def test_full_disk_under_the_rejects_fails_the_job(job: FaultJob, tmp_path: Path) -> None:
    """Rejects that cannot be written are not lost in silence: the job fails and says why; repaired, nothing is missing."""
    with small_disk(tmp_path / "disk"), fault_server(tmp_path, {"status": 400}) as server:
        job.prepare(server.url, events=EVENTS)
        full = tmp_path / "disk" / "rejects.jsonl"
        ran = dovebeam_process(
            *("export", "--config", tmp_path / "dovecot.conf", "--input", job.input_path, "--rejects", full),
        )
        assert ran.code == 1
        assert "No space left on device" in ran.err
        server.behave({})
        job.check(job.run(), server, delivered=EVENTS)


def test_full_disk_while_sending_again(job: FaultJob, tmp_path: Path) -> None:
    """The file that is read is never touched, so whatever happens it can be sent again."""
    with small_disk(tmp_path / "disk"), fault_server(tmp_path, {"status": 500}) as server:
        job.prepare(server.url, events=EVENTS)
        job.check(job.run(), server, delivered=0)
        before = job.rejects_path.read_bytes()
        ran = resend(job, job.rejects_path, tmp_path / "disk" / "second.jsonl")
        assert ran.code == 1
        assert "No space left on device" in ran.err
        assert job.rejects_path.read_bytes() == before
        server.behave({})
        ran = resend(job, job.rejects_path, tmp_path / "third.jsonl")
        assert ran.code == 0, ran.err
        assert set(server.delivered()) == set(job.ids)


def test_endless_failure_ends(job: FaultJob, tmp_path: Path) -> None:
    """Rejects that are sent again in a circle come to rest at the maximum, and are all still there."""
    with fault_server(tmp_path, {"status": 500}) as server:
        job.prepare(server.url, events=20)
        job.check(job.run(), server, delivered=0)
        source = job.rejects_path
        for number in range(4):
            output = tmp_path / f"round{number}.jsonl"
            ran = resend(job, source, output, "--max_attempts", 3)
            assert ran.code == 0, ran.err
            source = output
        requests = len(server.seen())
    assert requests == 20 * 3
    assert {reject.attempts for reject in read(source)} == {3}
    assert sorted(ids_in(b"\n".join(reject.payload_bytes for reject in read(source)))) == job.ids
