"""The command line of `dovebeam`: finds the command and runs it; `--help` and `--version` import no command."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

from dovebeam.pipelines.terminal.exit_codes import MEANINGS, ExitCode, guarded

__all__ = ["run_command_line"]


_COMMANDS: Final = {
    "export": ("export.command", "Deliver the events of files, filtered and routed by your dovecot.conf."),
    "stream": ("stream.command", "Deliver events continuously: follow growing files (tail -F), or pull from Pub/Sub."),
    "archive": ("archive.command", "Write events into an archive: Avro files by the hour."),
    "replay": ("replay.command", "Re-export a time range of an archive, with a dry run and a rate limit."),
    "collect": (
        "collect.command",
        "Receive events from Dovecot's own drivers and spool them in files for a stream.",
    ),
    "check": ("check.command", "Validate configurations without touching a target, and try them on events."),
    "demo": ("demo", "Run an export on sample events and show what it did."),
}
"""Commands, each with its module in this package, whose `main` runs it, and its line in `--help`."""


def run_command_line(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process, and returns its exit code; no exception leaves it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(arguments, lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command not in _COMMANDS:
        return _without_command(arguments)
    run: Callable[[Sequence[str], str], int] = import_module(f"dovebeam.pipelines.{_COMMANDS[command][0]}").main
    return run(rest, f"dovebeam {command}")


def _without_command(arguments: Sequence[str]) -> int:
    """Shows the help, the version, or the error of an unknown command."""
    parser = _CommandParser(
        prog="dovebeam",
        description="Reliable delivery of Dovecot events, by your own dovecot.conf, on one machine or any Beam runner.",
        epilog="\n".join(["exit codes:", *(f"  {int(code):<4} {text}" for code, text in MEANINGS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in _COMMANDS.items():
        commands.add_parser(name, help=text)
    parser.parse_args(arguments)
    return ExitCode.USAGE


class _CommandParser(argparse.ArgumentParser):
    """A parser whose errors have their exit code even if standard error cannot be written to."""

    def error(self, message: str) -> NoReturn:
        """Shows the usage and the message, and exits with 2."""
        # The first releases of Python 3.11 raise here if the disk behind standard error is full.
        with contextlib.suppress(OSError):
            super().error(message)
        raise SystemExit(ExitCode.USAGE)


class _ShowVersion(argparse.Action):
    """The option `--version`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        # Imported here, because it takes time that only this option needs.
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            text = version("dovebeam")
        except PackageNotFoundError:
            text = "(not installed)"
        sys.stdout.write(f"dovebeam {text}\n")
        parser.exit()
