"""The command `dovebeam`: its first moments, in which Ctrl-C ends it without a traceback.

Python raises `KeyboardInterrupt` at a Ctrl-C, which while modules are loaded prints where in them that was. So this one
loads as good as nothing, and the signal ends the process at once until the command has a handler of its own.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process, and returns its exit code; no exception leaves it."""
    is_quiet = _handle_interrupts(signal.default_int_handler, signal.SIG_DFL)
    try:
        from dovebeam.pipelines.command_line import run_command_line  # noqa: PLC0415  takes time; see the module

        return run_command_line(argv)
    finally:
        if is_quiet:
            _handle_interrupts(signal.SIG_DFL, signal.default_int_handler)


def _handle_interrupts(before: object, handler: signal._HANDLER) -> bool:
    """Replaces a handler of Ctrl-C; returns whether it was that one, and this is the thread that gets signals."""
    if signal.getsignal(signal.SIGINT) is not before:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
