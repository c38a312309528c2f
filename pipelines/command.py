"""What all commands have in common: the log is set up, and every error becomes a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from dovebeam.pipelines.options.arguments import UsageError
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import configure, say
from dovebeam.pipelines.terminal.standard_streams import provide_streams

__all__ = ["guarded"]


def guarded(arguments: Sequence[str], run: Callable[[], int]) -> int:
    """Runs a command and returns its exit code.

    Args:
        arguments: the command line; `--debug` in it shows the whole log.
        run: parses and does what the command is for. It may raise `UsageError`.
    """
    provide_streams()
    configure(debug="--debug" in arguments)  # first: what Beam logs when it is imported would set up another
    try:
        _check_python()
        return run()
    except UsageError as error:
        say(str(error))
        return ExitCode.USAGE
    except SystemExit as end:  # argparse printed help or an error
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
    except KeyboardInterrupt:
        say("stopped before anything was done")
        return ExitCode.INTERRUPTED


def _check_python() -> None:
    """Refuses a mode of Python in which Beam cannot even be imported."""
    if sys.flags.optimize > 1:
        raise UsageError(
            "python -OO (PYTHONOPTIMIZE=2) removes the texts that Apache Beam's modules work with when they are "
            "imported; use -O, or unset PYTHONOPTIMIZE"
        )
