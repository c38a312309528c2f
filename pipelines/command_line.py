"""The command line of `dovebeam`. Answers `--help` and `--version` at once: a command imports what it needs later."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from dovebeam.pipelines.terminal.exit_codes import MEANINGS, ExitCode, guarded

__all__ = ["run_command_line"]


_COMMANDS: Final = {
    "export": ("export.command", "Export events as the metric and event_exporter blocks of a dovecot.conf say."),
    "stream": ("stream.command", "Export events as they come: follow files that grow."),
    "archive": ("archive.command", "Write events into an archive: Avro files by the hour."),
    "replay": ("replay.command", "Export the events of a span of time out of an archive, once more."),
    "collect": (
        "collect.command",
        "Take events from Dovecot's own drivers and keep them in files for a streaming job.",
    ),
    "check": ("check.command", "Check configurations without touching a target, and try them on events."),
    "demo": ("demo", "Run an export on sample events and show what it did."),
}
"""Each command: its module here, whose `main` it is, and what it does."""


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
    """Help, version, or what is wrong."""
    parser = argparse.ArgumentParser(
        prog="dovebeam",
        description="Dovecot's Event Export for Apache Beam.",
        epilog="\n".join(["exit codes:", *(f"  {int(code):<4} {text}" for code, text in MEANINGS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in _COMMANDS.items():
        commands.add_parser(name, help=text)
    parser.parse_args(arguments)
    return ExitCode.USAGE


class _ShowVersion(argparse.Action):
    """Looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            text = version("dovebeam")
        except PackageNotFoundError:
            text = "(not installed)"
        sys.stdout.write(f"dovebeam {text}\n")
        parser.exit()
