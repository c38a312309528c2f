"""The exit codes of the command line, as other tools of this kind have them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["MEANINGS", "ExitCode"]


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
