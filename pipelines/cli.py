"""Entry point of the command `dovebeam`, which Ctrl-C ends without a traceback also while modules are loaded.

Python raises `KeyboardInterrupt` at a Ctrl-C, and prints a traceback if that happens during an import. So this module
imports next to nothing, and the signal ends the process at once until the command has a handler of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

__all__ = ["main", "run"]


def run() -> None:
    """Runs the command line of this process, and ends the process with its exit code."""
    code = main()
    from dovebeam.pipelines.terminal.exit_codes import end_process  # noqa: PLC0415  see the module

    end_process(code)


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
    """Replaces the handler of Ctrl-C if it is `before`; returns whether it did."""
    if signal.getsignal(signal.SIGINT) is not before:
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread, which alone may set handlers
        return False
    return True


if __name__ == "__main__":
    run()
