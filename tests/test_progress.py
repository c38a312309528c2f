"""The side channel between a launcher and its workers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dovebeam.transforms import progress
from dovebeam.transforms.progress import JobMonitor, StoppedError, Totals, advance, configured, is_abandoned


def test_without_a_launcher_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster the calls are free of effect."""
    monkeypatch.delenv(progress.ENVIRONMENT, raising=False)
    advance(read_bytes=1, events=1)
    assert not configured()


def test_sums() -> None:
    """The launcher sees the sum of all calls."""
    with JobMonitor() as monitor:
        assert monitor.totals() == Totals()
        advance(read_bytes=10, events=2)
        advance(events=3, delivered=4, rejected=1)
        assert configured()
        assert monitor.totals() == Totals(10, 5, 4, 1)


def test_monitors_do_not_mix() -> None:
    """A second job of the same process begins at nothing, and the first one's directory is gone."""
    with JobMonitor() as first:
        advance(events=1)
        directory = first.directory
    assert not directory.exists()
    advance(events=7)
    with JobMonitor() as second:
        advance(events=2)
        assert second.totals().events == 2


def test_processes_and_threads() -> None:
    """Every process counts for itself, every thread of it with it; what an ended process counted stays."""
    code = "from dovebeam.transforms.progress import advance\nfor _ in range(100): advance(events=1)"
    with JobMonitor() as monitor:
        workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
        threads = [threading.Thread(target=lambda: [advance(events=1) for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [worker.wait() for worker in workers] == [0, 0]
        assert monitor.totals().events == 600


def test_a_forked_process_counts_for_itself() -> None:
    """A child that begins as a copy of a worker does not count in its parent's file."""
    with JobMonitor() as monitor:
        advance(events=1)
        code = (
            "import os\nfrom dovebeam.transforms.progress import advance\nadvance(events=1)\n"
            "child = os.fork()\nadvance(events=10)\n"
            "child and os.waitpid(child, 0)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
        assert monitor.totals().events == 22
        assert len(monitor.workers()) == 3


def test_stop() -> None:
    """Whoever advances after the launcher's wish to stop gets an exception, and what was done is counted."""
    with JobMonitor() as monitor:
        advance(events=1)
        monitor.stop()
        with pytest.raises(StoppedError):
            advance(events=5)
        assert monitor.totals().events == 6
        assert not is_abandoned(str(monitor.directory))


def test_abandoned() -> None:
    """Worker processes learn that they should end, also from a launcher that is gone."""
    with JobMonitor() as monitor:
        directory = str(monitor.directory)
        assert not is_abandoned(directory)
        monitor.abandon()
        assert is_abandoned(directory)
    assert is_abandoned(directory)


def test_progress_fails_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is not there is as good as none."""
    monkeypatch.setenv(progress.ENVIRONMENT, str(tmp_path / "gone"))
    advance(events=1)
    assert not os.path.exists(tmp_path / "gone")
