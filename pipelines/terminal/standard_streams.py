"""Standard output and error as a process must have them, whatever it was started with."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

__all__ = ["mute_stdout", "provide_streams"]

_LAST: Final = 2  # the descriptor of standard error


def provide_streams() -> None:
    """Opens /dev/null for each of the three standard streams that was closed by whoever started the process.

    Without that, the next file that is opened would become standard output, and get what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= _LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has nothing for a closed stream, and everything that prints would stumble over it.
    sys.stdout = _nowhere() if sys.stdout is None else sys.stdout
    sys.stderr = _nowhere() if sys.stderr is None else sys.stderr


def mute_stdout() -> None:
    """Lets standard output go nowhere from now on, because nobody reads it any more."""
    sys.stdout = _nowhere()


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
