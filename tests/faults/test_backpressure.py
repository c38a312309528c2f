"""A target that takes less than the source has: the source waits, and memory stays where it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.jobs.fault_server_job import PATIENT, FaultJob
from support.jobs.fault_server_memory import MemoryWatch, watched_job
from support.programs import HANG_SECS, wait_until
from support.servers.fault_server_control import FaultServer, fault_server

_GIB = 1024 * 1024 * 1024
_LIMIT = 500 * 1_000_000
_FLAT = 30 * 1_000_000
_REJECTS = 100 * 1_000_000  # 40 MB of events as records would take more
_PAD = 400
_STOP_SECS = 120.0
"""A job that is stopped has 5 s for the batch in hand, and 2 s more; the rest is for a busy machine."""

_BATCHES = (
    *("http_client_request_absolute_timeout = 60 s", "http_client_max_parallel_connections = 4"),
    *("http_post_batch_max_events = 500", "http_post_batch_max_bytes = 256 k"),
)


def test_a_gibibyte_into_a_slow_target(job: FaultJob, tmp_path: Path) -> None:
    """While the first 24 MB arrive, memory is flat and below 500 MB; `make soak` runs the whole of it."""
    with fault_server(tmp_path, {"bytes_per_sec": 2_000_000}) as server:
        job.prepare(server.url, _BATCHES, total_bytes=_GIB, pad=_PAD)
        with watched_job(job.arguments()) as watch:
            times = [_time_of(server, watch, mega * 1_000_000) for mega in (4, 12, 24)]
            _stop(watch)
        assert set(server.delivered().values()) == {1}
    assert watch.peak() < _LIMIT
    assert watch.peak(times[1], times[2]) < watch.peak(times[0], times[1]) + _FLAT


def _time_of(server: FaultServer, watch: MemoryWatch, size: int) -> float:
    """When so many bytes have arrived, in seconds since the start of the job."""

    def have_arrived() -> bool:
        time.sleep(0.2)
        return sum(seen.size for seen in server.seen()) >= size

    wait_until(have_arrived, f"{size} bytes at the target")
    return watch.samples[-1][0]


def test_target_that_never_answers(job: FaultJob, tmp_path: Path) -> None:
    """With patience for 20 s an attempt nothing more is read than what is on its way."""
    with fault_server(tmp_path, {"action": "never"}) as server:
        job.prepare(server.url, (*PATIENT, "http_client_max_parallel_connections = 64"), total_bytes=_GIB, pad=_PAD)
        with watched_job(job.arguments()) as watch:
            wait_until(lambda: len(server.seen()) == 64, "all connections to be used")
            time.sleep(3)  # in which a job that reads on would read hundreds of megabytes
            _stop(watch)
        assert len(server.seen()) == 64
    assert watch.peak() < _LIMIT


@pytest.mark.parametrize("batch", [1, 500])
def test_rejects_do_not_pile_up(job: FaultJob, tmp_path: Path, batch: int) -> None:
    """A target that refuses 40 MB of events: they go to the rejects as they are refused, and memory stays flat."""
    with fault_server(tmp_path, {"status": 404}) as server:
        settings = (*PATIENT, "http_client_max_parallel_connections = 16", f"http_post_batch_max_events = {batch}")
        job.prepare(server.url, settings, total_bytes=40_000_000, pad=_PAD)
        with watched_job(job.arguments()) as watch:
            assert watch.process.wait(HANG_SECS) == 0
        assert server.delivered() == {}
    assert set(job.rejected()) == set(job.ids)
    assert watch.peak() < _beam_bytes() + _REJECTS, [size // 1_000_000 for _, size in watch.samples]


def _beam_bytes() -> int:
    """What a process needs that imports Beam and does nothing; it depends on what else is installed."""
    code = "import apache_beam, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECS, check=True)
    return int(done.stdout) * 1024


def _stop(watch: MemoryWatch) -> None:
    """SIGTERM ends the job soon, whatever its target does."""
    begin = time.monotonic()
    watch.process.send_signal(signal.SIGTERM)
    assert watch.process.wait(HANG_SECS) == 143
    assert time.monotonic() - begin < _STOP_SECS
