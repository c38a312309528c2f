"""How a command ends: exit codes, signals as interrupts, and every error as a message (`guarded`)."""

from __future__ import annotations

import contextlib
import enum
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType, MappingProxyType
from typing import Final, NoReturn

from dovebeam.pipelines.terminal.logs import configure, say
from dovebeam.pipelines.terminal.standard_streams import flush_output, output_that_never_raises, provide_streams
from dovebeam.transforms.errors import DovebeamError

__all__ = [
    "ENDING",
    "MEANINGS",
    "ExitCode",
    "SignalInterrupt",
    "UsageError",
    "end_process",
    "exit_code_of",
    "guarded",
    "heeded",
    "signals_as_interrupts",
]


ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that ask a process to end."""


class ExitCode(enum.IntEnum):
    """Exit code of a command.

    A job that a signal ended has 128 plus the signal's number, as in shells.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2  # as argparse
    CONFIG = 78  # EX_CONFIG of sysexits.h; systemd's RestartPreventExitStatus= can name it
    HUNG_UP = 129
    INTERRUPTED = 130
    QUIT = 131
    TERMINATED = 143


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.DONE: "success, and every event is accounted for; or a stream was stopped by a signal",
        ExitCode.FAILED: "failed: a target, a disk or an engine, or rejects without --rejects",
        ExitCode.USAGE: "invalid command line; nothing was started",
        ExitCode.CONFIG: "the configuration has errors, and nothing was started",
        ExitCode.HUNG_UP: "stopped by SIGHUP, which a closed terminal sends; a stream or a collector drains first",
        ExitCode.INTERRUPTED: "stopped by Ctrl-C; a stream or a collector by the second one",
        ExitCode.QUIT: "stopped by SIGQUIT; a stream by the second one",
        ExitCode.TERMINATED: "stopped by SIGTERM; a stream by the second one",
    }
)
"""Meanings of the exit codes, for help and documentation."""


class SignalInterrupt(KeyboardInterrupt):
    """An interrupt by a signal of `ENDING`.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code_of(interrupt: KeyboardInterrupt) -> ExitCode:
    """Exit code of a process that was interrupted."""
    return ExitCode(128 + interrupt.number) if isinstance(interrupt, SignalInterrupt) else ExitCode.INTERRUPTED


def heeded() -> list[signal.Signals]:
    """The signals of `ENDING` that the process may handle."""
    # One that is ignored at the start stays ignored: that is how `nohup` works.
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raises `SignalInterrupt` in the main thread at a signal; within another such context it changes nothing.

    In other threads it does nothing, since only the main thread gets signals.
    """
    if threading.current_thread() is not threading.main_thread() or _is_active():
        yield
        return
    handler = _Handler()
    before = {number: signal.signal(number, handler) for number in heeded()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


class _Handler:
    """Signal handler that interrupts at the first signal, and again at a second one by which a person wants to hurry.

    A closed terminal sends SIGHUP twice, and a session that ends sends SIGTERM and SIGHUP together. So SIGHUP is never
    a second signal, and the first other signal after it is not one either.
    """

    def __init__(self) -> None:
        self._is_ending = False
        self._spares_next = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            if self._is_ending:
                return
            self._spares_next = True
        elif self._spares_next:
            self._spares_next = False
            return
        self._is_ending = True
        raise SignalInterrupt(number)


def _is_active() -> bool:
    return any(isinstance(signal.getsignal(number), _Handler) for number in ENDING)


class UsageError(Exception):
    """An invalid command line; the text says what to write instead."""


def guarded(arguments: Sequence[str], run: Callable[[], int]) -> int:
    """Runs a command and returns its exit code: sets up the log, and makes every error a message; raises nothing.

    Args:
        arguments: the command line; `--debug` in it shows the whole log, and the traceback of a bug.
        run: parses the options and does the work. It may raise `UsageError`.
    """
    provide_streams()
    debug = "--debug" in arguments
    # Before Beam is imported, since what it logs then would make Python set up a log of its own.
    configure(debug=debug)
    try:
        with signals_as_interrupts(), output_that_never_raises():
            return _flushed(_run(arguments, run, debug=debug))
    except KeyboardInterrupt as interrupt:  # while a last message was printed
        return exit_code_of(interrupt)


def end_process(code: int) -> NoReturn:
    """Ends this process with an exit code, without Python's last searches for garbage.

    With Beam they take about 0.4 s of CPU time, and find nothing that matters: files are closed, threads have ended.
    """
    gc.freeze()
    sys.exit(code)


def _run(arguments: Sequence[str], run: Callable[[], int], *, debug: bool) -> int:
    try:
        _check_python()
        _check_directory(arguments)
        return run()
    except UsageError as error:
        say(str(error))
        return ExitCode.USAGE
    # argparse has printed the help or an error.
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    except KeyboardInterrupt as interrupt:
        say("stopped before anything was done")
        return exit_code_of(interrupt)
    except DovebeamError as error:
        say(str(error))
        return ExitCode.FAILED
    except Exception as error:
        return _report_bug(error, debug=debug)


def _report_bug(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    say(f"{type(error).__name__}: {error} (--debug shows where it comes from)")
    return ExitCode.FAILED


def _flushed(code: int) -> int:
    """The exit code, or FAILED if standard output could not be written."""
    error = flush_output()
    if error is None:
        return code
    say(f"write(standard output) failed: {error.strerror}")
    return code or ExitCode.FAILED


def _check_python() -> None:
    """Refuses a mode of Python in which Beam cannot be imported."""
    if sys.flags.optimize > 1:
        raise UsageError(
            "python -OO (PYTHONOPTIMIZE=2) removes the texts that Apache Beam's modules work with when they are "
            "imported; use -O, or unset PYTHONOPTIMIZE"
        )


def _check_directory(arguments: Sequence[str]) -> None:
    """Refuses a working directory that is gone: relative paths mean nothing there, and Python's own modules fail."""
    # These need no directory, and help should always be available.
    if {"-h", "--help", "--version"} & set(arguments):
        return
    try:
        os.getcwd()
    except FileNotFoundError as error:
        message = "the working directory has been removed; change to one that exists (cd /) and run the command again"
        raise DovebeamError(message) from error
    except OSError:  # such as no permission to look above it; what needs a relative path will say so
        return
