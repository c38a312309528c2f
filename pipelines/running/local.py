"""A local job run to its end: progress while it runs, a clean stop at a signal, and messages about failures.

The pipeline runs in a thread of its own, so that the main thread is free for signals. The first one (Ctrl-C, SIGTERM,
SIGHUP or SIGQUIT) asks the workers to stop after the block in hand; workers that do not stop within a few seconds, or
before a second signal, are ended. A worker process that something else ended fails the job; Beam would wait forever.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from dovebeam.pipelines.terminal.exit_codes import ExitCode, exit_code_of, signals_as_interrupts
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.progress_bar import Display
from dovebeam.transforms.config import Config
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import JobMonitor, StoppedError, Totals

__all__ = ["InterruptedJobError", "WorkerLostError", "explain_failure", "is_stop", "run_to_end"]

_MAX_CAUSES: Final = 50  # exceptions can be chained in a circle
_MAX_TEXT_CHARS: Final = 2000
# Beam passes exceptions of workers on as the text of their tracebacks; these find ours in them.
_OURS = re.compile(r"^dovebeam\.[\w.]+Error: (.+(?:\n(?!\n)[^\n]+)*)", re.MULTILINE)
_STOPPED = re.compile(rf"^dovebeam\.[\w.]+\.{StoppedError.__name__}\b", re.MULTILINE)
_STEP = re.compile(r" \[while running '([^']*)'\]")
_DELIVERY = re.compile(r"(?:^|/)Deliver to (.+?)(?:/|$)")

_LOOK_SECS: Final = 0.1
_OBEY_SECS: Final = 5.0
_END_SECS: Final = 2.0
_LOST: Final = re.compile(r"Worker subprocess exited with return code (-?[0-9]{1,10})")
"""Text of the error that a thread of Beam raises, without any effect, when a worker process ended by itself."""

_T = TypeVar("_T")


class InterruptedJobError(Exception):
    """A job that was stopped by a signal.

    Attributes:
        exit_code: for the process.
        totals: of the work that was done.
        torn: whether workers had to be ended in the middle of their work.
    """

    def __init__(self, exit_code: ExitCode, totals: Totals, *, torn: bool) -> None:
        super().__init__(exit_code, totals, torn)
        self.exit_code = exit_code
        self.totals = totals
        self.torn = torn


class WorkerLostError(DovebeamError):
    """A worker process ended in the middle of its work.

    Args:
        code: its exit code, or minus the number of the signal that ended it.
    """

    def __init__(self, code: int) -> None:
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        super().__init__(
            f"a worker process was ended {how} in the middle of its work, perhaps by the system for lack of memory; "
            "what it had not finished is not delivered (find out why, and run again)"
        )


def run_to_end(run: Callable[[], _T], monitor: JobMonitor, display: Display, *, drain: bool = False) -> _T:
    """Calls `run` in another thread, shows progress meanwhile, and returns or raises what `run` does.

    Args:
        run: the job.
        monitor: collects the totals of its workers, and asks them to stop.
        display: shows the totals.
        drain: whether the first signal lets the job finish what it has read, however long that takes, and return.

    Raises:
        InterruptedJobError: a signal stopped the job.
        WorkerLostError: something else ended one of its processes.
    """
    job = _Job(run)
    with signals_as_interrupts(), _lost_workers() as lost:
        try:
            job.start()
            _wait(job, monitor, display, lost)
        except KeyboardInterrupt as interrupt:
            if drain and _drained(job, monitor):
                return job.result()
            torn = not _stop(job, monitor)
            raise InterruptedJobError(exit_code_of(interrupt), monitor.totals(), torn=torn) from None
    return job.result()


class _Job(threading.Thread, Generic[_T]):
    """A daemon thread that keeps the result or the exception of its function.

    Attributes:
        ended: set at the end. To be waited for instead of `join`, which when interrupted takes a thread for stopped.
        error: the exception.
    """

    def __init__(self, run: Callable[[], _T]) -> None:
        super().__init__(name="dovebeam-job", daemon=True)
        self._function = run
        self._results: list[_T] = []
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def result(self) -> _T:
        if self.error is not None:
            raise self.error
        return self._results[0]


def _wait(job: _Job[Any], monitor: JobMonitor, display: Display, lost: Sequence[int]) -> None:
    while not job.ended.wait(_LOOK_SECS):
        display.show(monitor.totals())
        # A job that ends by itself in that time has the better error.
        if lost and not job.ended.wait(_END_SECS):
            threading.excepthook = _ignore
            monitor.abandon()
            raise WorkerLostError(lost[0])
    display.show(monitor.totals())


def _drained(job: _Job[Any], monitor: JobMonitor) -> bool:
    """Lets the job finish what it has read; returns False if a second signal came before its end."""
    monitor.drain()
    try:
        say("finishing what was read; again to stop at once")
        job.ended.wait()
    except KeyboardInterrupt:
        return False
    return True


def _stop(job: _Job[Any], monitor: JobMonitor) -> bool:
    """Asks the job to stop, and ends it if it does not; returns whether it stopped cleanly."""
    monitor.stop()
    with contextlib.suppress(KeyboardInterrupt):
        say("stopping after the blocks in hand; again to stop at once")
        job.ended.wait(_OBEY_SECS)
    if job.ended.is_set():
        return job.error is None or is_stop(job.error)
    # Beam's threads that watch worker processes would print tracebacks when these end.
    threading.excepthook = _ignore
    monitor.abandon()
    with contextlib.suppress(KeyboardInterrupt):
        job.ended.wait(_END_SECS)
    return False


@contextlib.contextmanager
def _lost_workers() -> Iterator[list[int]]:
    """A list that gets the exit codes of worker processes when they end by themselves."""
    # Beam's thread for a worker process only raises then, so the hook for uncaught exceptions is the one place to know.
    lost: list[int] = []
    before = threading.excepthook

    def hear(arguments: threading.ExceptHookArgs) -> None:
        found = _LOST.fullmatch(str(arguments.exc_value))
        if found is None:
            before(arguments)
        else:
            lost.append(int(found[1]))

    threading.excepthook = hear
    try:
        yield lost
    finally:
        if threading.excepthook is hear:
            threading.excepthook = before


def _ignore(_: threading.ExceptHookArgs) -> None:
    pass


# Messages about failures.


def explain_failure(error: BaseException, config: Config, exporter: str = "") -> str:
    """Message about a failure, with the exporter's place in the configuration if a delivery failed; no traceback.

    Args:
        error: raised by the job.
        config: of the job.
        exporter: whose delivery failed; if empty, it is taken from the name of the step in the error.
    """
    text = _own_text(error) or _foreign_text(error)
    exporter = exporter or _exporter(error)
    if exporter in config.exporters:
        text = f"{config.exporters[exporter].place}: event_exporter {exporter}: {text}"
    return text


def is_stop(error: BaseException) -> bool:
    """Whether the job ended because it was asked to."""
    return any(isinstance(each, StoppedError) or _STOPPED.search(str(each)) for each in _causes(error))


def _own_text(error: BaseException) -> str:
    """Message of dovebeam's own exception, without what Beam added; empty if there is none."""
    # The innermost one is the cause; others may have been raised while it was handled.
    ours = [each for each in _causes(error) if isinstance(each, DovebeamError)]
    if ours:
        return _STEP.sub("", str(ours[-1]))
    for each in _causes(error):
        found = _OURS.search(str(each))
        if found:
            return _STEP.sub("", found[1].strip())
    return ""


def _foreign_text(error: BaseException) -> str:
    lines = [line for line in _STEP.sub("", str(error)).strip().splitlines() if line.strip()]
    # The last line of a traceback is the error itself.
    text = lines[-1].strip() if lines and lines[0].startswith("Traceback") else " ".join(lines)
    return f"{type(error).__name__}: {text[:_MAX_TEXT_CHARS]} (--debug shows where it comes from)"


def _exporter(error: BaseException) -> str:
    for each in _causes(error):
        for step in _STEP.findall(str(each)):
            found = _DELIVERY.search(step)
            if found:
                return str(found[1])
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__
