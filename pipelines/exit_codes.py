"""The exit codes of the command line, as other tools of this kind have them."""

from __future__ import annotations

import enum

__all__ = ["ExitCode"]


class ExitCode(enum.IntEnum):
    """What a command ends with.

    A job that a signal ended has 128 plus the signal's number, as shells count it.
    """

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 78
    INTERRUPTED = 130
    TERMINATED = 143
