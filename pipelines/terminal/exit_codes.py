"""How a process ends: its exit codes, as other tools of this kind have them, and the signals that ask it to end.

All these signals are treated as Ctrl-C is; Python alone would end at most of them at once. A terminal that is closed
sends SIGHUP, often twice, and a service manager that gives up a session sends SIGTERM and SIGHUP together. So SIGHUP
asks a command to end, but never hurries one that is ending already, nor does the first other signal after it.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import threading
from collections.abc import Iterator, Mapping
from types import FrameType, MappingProxyType
from typing import Final

__all__ = ["ENDING", "MEANINGS", "ExitCode", "SignalInterrupt", "exit_code_of", "heeded", "signals_as_interrupts"]

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals by which somebody asks a process to end."""


class ExitCode(enum.IntEnum):
    """What a command ends with.

    A job that a signal ended has 128 plus the signal's number, as shells count it.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 78
    HUNG_UP = 129
    INTERRUPTED = 130
    QUIT = 131
    TERMINATED = 143


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.DONE: "done, and the account of all events adds up; a stream was told to end",
        ExitCode.FAILED: "failed: a target, a disk or an engine, or rejects that had nowhere to go",
        ExitCode.USAGE: "the command line cannot be meant, and nothing was started",
        ExitCode.CONFIG: "the configuration has errors, and nothing was started",
        ExitCode.HUNG_UP: "ended by SIGHUP, as a terminal sends when it is closed; a stream or a collector drains",
        ExitCode.INTERRUPTED: "ended by Ctrl-C; of a stream or a collector, by the second one",
        ExitCode.QUIT: "ended by SIGQUIT; of a stream, by the second one",
        ExitCode.TERMINATED: "ended by SIGTERM; of a stream, by the second one",
    }
)
"""What each of them says to whoever called the command."""


class SignalInterrupt(KeyboardInterrupt):
    """A signal of `ENDING`.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code_of(interrupt: KeyboardInterrupt) -> ExitCode:
    """What a process that was interrupted ends with."""
    return ExitCode(128 + interrupt.number) if isinstance(interrupt, SignalInterrupt) else ExitCode.INTERRUPTED


def heeded() -> list[signal.Signals]:
    """The signals of `ENDING` that whoever started the process wants it to heed; `nohup` ignores SIGHUP."""
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
    """Interrupts at the first signal, and again at those that are meant to hurry."""

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
