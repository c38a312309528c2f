"""What all commands have in common: the log is set up, and every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.terminal.exit_codes import ExitCode, exit_code_of, signals_as_interrupts
from dovebeam.pipelines.terminal.logs import configure, say
from dovebeam.pipelines.terminal.standard_streams import flush_output, output_that_never_raises, provide_streams
from dovebeam.transforms.errors import DovebeamError

__all__ = ["guarded"]


def guarded(arguments: Sequence[str], run: Callable[[], int]) -> int:
    """Runs a command and returns its exit code; no exception leaves it.

    Args:
        arguments: the command line; `--debug` in it shows the whole log, and the traceback of what is a bug.
        run: parses and does what the command is for. It may raise `UsageError`.
    """
    provide_streams()
    debug = "--debug" in arguments
    configure(debug=debug)  # first: what Beam logs when it is imported would set up another
    try:
        with signals_as_interrupts(), output_that_never_raises():
            return _flushed(_run(arguments, run, debug=debug))
    except KeyboardInterrupt as interrupt:  # while something was said
        return exit_code_of(interrupt)


def _run(arguments: Sequence[str], run: Callable[[], int], *, debug: bool) -> int:
    try:
        _check_python()
        _check_directory(arguments)
        return run()
    except UsageError as error:
        say(str(error))
        return ExitCode.USAGE
    except SystemExit as end:  # argparse printed help or an error
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
    """The exit code, unless what was printed could not be written."""
    error = flush_output()
    if error is None:
        return code
    say(f"write(standard output) failed: {error.strerror}")
    return code or ExitCode.FAILED


def _check_python() -> None:
    """Refuses a mode of Python in which Beam cannot even be imported."""
    if sys.flags.optimize > 1:
        raise UsageError(
            "python -OO (PYTHONOPTIMIZE=2) removes the texts that Apache Beam's modules work with when they are "
            "imported; use -O, or unset PYTHONOPTIMIZE"
        )


def _check_directory(arguments: Sequence[str]) -> None:
    """Refuses a working directory that is gone: relative paths mean nothing there, and Python's own modules fail."""
    if {"-h", "--help", "--version"} & set(arguments):
        return
    try:
        os.getcwd()
    except FileNotFoundError as error:
        message = "the working directory has been removed; change to one that exists (cd /) and run the command again"
        raise DovebeamError(message) from error
    except OSError:  # such as no permission to look above it; what needs a relative path will say so
        return
