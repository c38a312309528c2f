"""http-post when the target, or the job itself, is killed in the middle: after a restart every event has arrived."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.jobs.fault_server_job import PATIENT, FaultJob
from support.jobs.fault_server_memory import watched_job
from support.programs import HANG_SECS, wait_until
from support.servers.fault_server_control import FaultServer, fault_server

_RETRIES = (
    *(*PATIENT, "http_client_request_max_attempts = 1000", "http_post_retry_budget = 60 s"),
    "http_client_connect_backoff_max_time = 500 ms",
)
_TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
_SLOW_SECS = 0.05
_STOP_SECS = 15.0
"""A job that is stopped has 5 s for the batch in hand, and 2 s more; the rest is for a busy machine."""


@pytest.mark.parametrize("batch", [1, 200])
def test_target_killed_and_restarted(job: FaultJob, tmp_path: Path, batch: int) -> None:
    """SIGKILL in the middle of 40,000 events, two seconds of nothing, a new start: all arrive at least once."""
    events = 40_000
    with fault_server(tmp_path) as server:
        settings = (*_RETRIES, "http_client_max_parallel_connections = 16", f"http_post_batch_max_events = {batch}")
        job.prepare(server.url, settings, events=events)
        with _killed_in_the_middle(server, events // 4 // batch, down_secs=2.0):
            ran = job.run()
        job.check(ran, server, delivered=events, twice=True)
        assert job.rejected() == {}
        repeated = sum(server.delivered().values()) - events
        assert repeated <= 16 * batch, "more was repeated than could be on its way"


@contextmanager
def _killed_in_the_middle(server: FaultServer, requests: int, down_secs: float) -> Iterator[None]:
    """Kills the server once it has served so many requests, and starts it again, while the block runs."""
    ended = threading.Event()

    def kill() -> None:
        while _lines(server.log) < requests:
            if ended.wait(0.02):
                return
        server.kill()
        ended.wait(down_secs)
        server.start()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join(HANG_SECS)
    assert _lines(server.log) > requests, "the job ended before its target was killed"


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_target_that_takes_50_ms(job: FaultJob, tmp_path: Path) -> None:
    """20,000 events, one a request: all arrive, over as many connections as are allowed.

    tests/bench/soak.py measures how fast; here the bound is what half of the time of one connection would be.
    """
    events, connections = 20_000, 128
    with fault_server(tmp_path, {"delay_secs": _SLOW_SECS}) as server:
        job.prepare(server.url, (*PATIENT, f"http_client_max_parallel_connections = {connections}"), events=events)
        job.check(job.run(), server, delivered=events)
        seen = server.seen()
        times = [each.at for each in seen]
        assert max(times) - min(times) <= events * _SLOW_SECS / 2
        assert len({each.connection for each in seen}) == connections


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_job_stopped_in_the_middle_and_started_again(job: FaultJob, tmp_path: Path, signal_number: int) -> None:
    """With a target that takes 50 ms: whichever way the first run ended, after the second all have arrived."""
    events, connections = 6_000, 64
    with fault_server(tmp_path, {"delay_secs": _SLOW_SECS}) as server:
        job.prepare(server.url, (*PATIENT, f"http_client_max_parallel_connections = {connections}"), events=events)
        ran = job.interrupt(lambda: _lines(server.log) > events // 4, signal_number)
        assert ran.code == (143 if signal_number == signal.SIGTERM else -signal.SIGKILL)
        first = server.delivered()
        assert 0 < len(first) < events
        assert set(first.values()) == {1}
        job.check(job.run(), server, delivered=events, twice=True)
        assert job.rejected() == {}
        assert set(server.delivered()) == set(job.ids)


@pytest.mark.parametrize("workers", [(), _TWO_WORKERS], ids=["in process", "two workers"])
def test_job_that_waits_for_its_target_can_be_stopped(job: FaultJob, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """SIGTERM ends it soon, however long the target wants to be left alone; nothing it started lives on."""
    settings = (*PATIENT, "http_client_request_max_attempts = 1000", "http_client_max_parallel_connections = 4")
    with fault_server(tmp_path, {"status": 429, "retry_after_secs": 50}) as server:
        job.prepare(server.url, settings, events=200)
        begun: list[float] = []

        def has_begun() -> bool:
            if _lines(server.log):
                begun.append(time.monotonic())
            return bool(begun)

        ran = job.interrupt(has_begun, signal.SIGTERM, *workers)
        assert ran.code == 143, ran.err
        assert time.monotonic() - begun[0] < _STOP_SECS
        assert server.delivered() == {}


def test_worker_killed_in_the_middle(job: FaultJob, tmp_path: Path) -> None:
    """SIGKILL of one of two worker processes fails the job, and says so; run again, all have arrived."""
    events = 2_500
    with fault_server(tmp_path, {"delay_secs": _SLOW_SECS}) as server:
        job.prepare(server.url, (*PATIENT, "http_client_max_parallel_connections = 32"), events=events)
        with watched_job(job.arguments(*_TWO_WORKERS)) as watch:
            wait_until(lambda: _lines(server.log) > events // 8, "the job to begin")
            os.kill(_worker_of(watch.process.pid), signal.SIGKILL)
            _, told = watch.process.communicate(timeout=HANG_SECS)
            assert watch.process.returncode == 1
            assert "a worker process was ended by signal 9" in told
        assert len(server.delivered()) < events
        job.check(job.run(*_TWO_WORKERS), server, delivered=events, twice=True)
        assert set(server.delivered()) == set(job.ids)


def _worker_of(launcher: int) -> int:
    """A worker process, one that has made connections."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            session = int((process / "stat").read_bytes().rpartition(b")")[2].split()[3])
            if session == launcher and b"dovebeam.pipelines.running.worker" in command and _has_connections(process):
                return int(process.name)
    pytest.fail("no worker process found")


def _has_connections(process: Path) -> bool:
    """Whether it holds many sockets, which only the worker that delivers does."""
    return len(list((process / "fd").iterdir())) > 32
