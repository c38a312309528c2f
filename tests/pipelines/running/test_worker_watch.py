"""Workers that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from dovebeam.pipelines.running.in_process import WatchedDisplay, WorkersGoneError
from dovebeam.pipelines.running.local import run_to_end
from dovebeam.transforms import progress
from dovebeam.transforms.progress import JobMonitor, Totals
from support.programs import HANG_SECS, wait_until


@pytest.fixture(autouse=True)
def _hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """`WatchedDisplay` changes the hook of threads when it fails, which is restored by this."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


class Shown:
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.totals = Totals()

    def show(self, totals: Totals) -> None:
        """Keeps it."""
        self.totals = totals


def start_worker() -> subprocess.Popen[bytes]:
    """A process that registers as a worker and waits."""
    code = "from dovebeam.transforms import progress; progress.advance(events=7); import time; time.sleep(60)"
    return subprocess.Popen([sys.executable, "-c", code])


def test_a_job_without_workers_ends() -> None:
    """After all were killed the job fails, with what to do; a job that ends in time is not disturbed."""
    shown = Shown()
    with JobMonitor() as monitor, start_worker() as worker:
        wait_until(lambda: monitor.workers() == [worker.pid], "the worker")
        watched = WatchedDisplay(shown, monitor, grace_secs=0.5)
        assert run_to_end(lambda: time.sleep(0.8), monitor, watched) is None
        assert shown.totals.events == 7
        worker.kill()
        worker.wait(HANG_SECS)
        assert run_to_end(lambda: time.sleep(0.2), monitor, watched) is None
        with pytest.raises(WorkersGoneError, match="run again"):
            run_to_end(lambda: time.sleep(30), monitor, watched)


def test_one_that_is_left_is_enough() -> None:
    """An engine that started another worker goes on."""
    with JobMonitor() as monitor, start_worker() as worker:
        wait_until(lambda: monitor.workers() == [worker.pid], "the worker")
        progress.advance(events=1)
        worker.kill()
        worker.wait(HANG_SECS)
        assert set(monitor.workers()) == {worker.pid, os.getpid()}
        run_to_end(lambda: time.sleep(0.5), monitor, WatchedDisplay(Shown(), monitor, grace_secs=0.1))


def test_a_launcher_that_counts_is_no_worker() -> None:
    """Where the launcher delivers out of queues, its own counts do not hide that all workers are gone."""
    with JobMonitor() as monitor, start_worker() as worker:
        wait_until(lambda: monitor.workers() == [worker.pid], "the worker")
        progress.advance(delivered=1)
        worker.kill()
        worker.wait(HANG_SECS)
        watched = WatchedDisplay(Shown(), monitor, grace_secs=0.1, launcher_counts=True)
        with pytest.raises(WorkersGoneError):
            run_to_end(lambda: time.sleep(30), monitor, watched)


def test_none_yet() -> None:
    """Before the first worker has come there is nothing to miss."""
    with JobMonitor() as monitor:
        run_to_end(lambda: time.sleep(0.5), monitor, WatchedDisplay(Shown(), monitor, grace_secs=0.1))
