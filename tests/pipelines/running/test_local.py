"""Waiting for a job in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dovebeam.pipelines.running import local as running
from dovebeam.pipelines.running.local import InterruptedJobError, WorkerLostError, run_to_end
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.progress_bar import ProgressBar, Silence, make_display
from dovebeam.transforms.progress import JobMonitor, Totals, advance, is_draining
from support.programs import HANG_SECS, wait_until


class Seen:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.totals: list[Totals] = []

    def show(self, totals: Totals) -> None:
        """Keeps it."""
        self.totals.append(totals)


def work_until_stopped() -> None:
    """A job that looks after each of its blocks whether it should stop."""
    while True:
        advance(events=1)
        time.sleep(0.01)


def interrupt_soon(number: int, times: int = 1) -> None:
    """Sends this process a signal in a moment."""

    def send() -> None:
        for _ in range(times):
            time.sleep(0.3)
            os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def test_result_and_progress() -> None:
    """The job's result is returned, and its progress was shown."""

    def job() -> str:
        advance(events=5)
        time.sleep(0.3)
        return "done"

    seen = Seen()
    with JobMonitor() as monitor:
        assert run_to_end(job, monitor, seen) == "done"
    assert seen.totals[-1].events == 5


def test_error() -> None:
    """The job's exception arrives."""

    def job() -> None:
        raise ValueError("broken")

    with JobMonitor() as monitor, pytest.raises(ValueError, match="broken"):
        run_to_end(job, monitor, Silence())


@pytest.fixture(autouse=True)
def _restore_thread_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is given up changes it for the rest of the process."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGHUP, ExitCode.HUNG_UP),
        (signal.SIGQUIT, ExitCode.QUIT),
    ],
)
def test_signals_stop_between_blocks(number: int, code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    """The job is asked and obeys; what it did is known, and the signal's own meaning is restored."""
    before = signal.getsignal(signal.SIGTERM)
    interrupt_soon(number)
    with JobMonitor() as monitor, pytest.raises(InterruptedJobError) as caught:
        run_to_end(work_until_stopped, monitor, Silence())
    assert caught.value.exit_code == code
    assert caught.value.totals.events > 0
    assert not caught.value.torn
    assert signal.getsignal(signal.SIGTERM) is before
    assert "again to stop at once" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_drain(number: int) -> None:
    """A job without an end finishes what it has read; the further ones of a closed terminal do not hurry it."""
    told = threading.Event()

    def job() -> str:
        while not is_draining():
            time.sleep(0.01)
        for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP) if number == signal.SIGHUP else (signal.SIGHUP,):
            signal.pthread_kill(threading.main_thread().ident or 0, each)
        told.wait(0.3)
        return "drained"

    with JobMonitor() as monitor:
        threading.Thread(target=signal_when_working, args=(number,), daemon=True).start()
        assert run_to_end(job, monitor, Silence(), drain=True) == "drained"


def signal_when_working(number: int) -> None:
    """Sends this process a signal once it heeds them."""
    wait_until(lambda: signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL, "signals to be heeded")
    os.kill(os.getpid(), number)


def test_an_ignored_signal_stays_ignored() -> None:
    """Whoever starts a job with nohup does not want it to end with its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with JobMonitor() as monitor:
            assert run_to_end(lambda: os.kill(os.getpid(), signal.SIGHUP), monitor, Silence()) is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_job_that_does_not_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while, and worker processes are told."""
    monkeypatch.setattr(running, "_OBEY_SECS", 0.3)
    monkeypatch.setattr(running, "_END_SECS", 0.1)
    release = threading.Event()
    with JobMonitor() as monitor:
        interrupt_soon(signal.SIGINT)
        with pytest.raises(InterruptedJobError) as caught:
            run_to_end(release.wait, monitor, Silence())
        assert (monitor.directory / "abandon").exists()
    release.set()
    assert caught.value.torn


def test_a_second_interrupt_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for the few seconds."""
    monkeypatch.setattr(running, "_END_SECS", 0.1)
    monkeypatch.setattr(running, "_OBEY_SECS", 3600.0)
    release = threading.Event()
    begin = time.monotonic()
    interrupt_soon(signal.SIGINT, times=2)
    with JobMonitor() as monitor, pytest.raises(InterruptedJobError):
        run_to_end(release.wait, monitor, Silence())
    release.set()
    assert time.monotonic() - begin < 1800


@pytest.mark.parametrize(("code", "words"), [(-9, "ended by signal 9"), (7, "ended with exit code 7")])
def test_a_lost_worker_fails_the_job(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    """What Beam tells nobody but a thread's end is heard, and a job that waits for the worker for ever is given up."""
    monkeypatch.setattr(running, "_END_SECS", 0.1)
    release = threading.Event()

    def look_after_a_process() -> None:
        with subprocess.Popen([sys.executable, "-c", f"import os; os.{_END_OF[code]}"]) as process:
            process.wait()
        raise RuntimeError(f"Worker subprocess exited with return code {process.returncode}")

    def job() -> None:
        threading.Thread(target=look_after_a_process).start()
        release.wait(HANG_SECS)

    with JobMonitor() as monitor, pytest.raises(WorkerLostError, match=words):
        run_to_end(job, monitor, Silence())
    release.set()


_END_OF = {-9: "kill(os.getpid(), 9)", 7: "_exit(7)"}


def test_no_bar_in_a_pipe() -> None:
    """Standard error that is no terminal gets no bar."""
    assert isinstance(make_display(lambda: pytest.fail("nobody needs to know")), Silence)


@pytest.mark.parametrize("total", [None, 1000])
def test_bar(total: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    """A bar takes whatever totals come, also more than the files had when they were counted."""
    with ProgressBar(total) as bar:
        bar.show(Totals())
        bar.show(Totals(2000, 10, 9, 1))
    capsys.readouterr()
