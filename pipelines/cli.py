"""The command `dovebeam`. Answers `--help` and `--version` at once: what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from dovebeam.pipelines.exit_codes import ExitCode
from dovebeam.pipelines.export import DESCRIPTION, EPILOG, run_command
from dovebeam.pipelines.options import add_arguments

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process, and returns its exit code.

    No exception leaves it, except with `--debug` for what is a bug.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command == "export":
        parser = argparse.ArgumentParser(
            prog="dovebeam export", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
        )
        add_arguments(parser)
        return run_command(parser, rest)
    if command == "demo":
        from dovebeam.pipelines.demo import main as demo  # noqa: PLC0415

        return demo(rest)
    return _without_command(arguments)


def _without_command(arguments: Sequence[str]) -> int:
    """Help, version, or what is wrong."""
    parser = argparse.ArgumentParser(prog="dovebeam", description="Dovecot's Event Export for Apache Beam.")
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    commands.add_parser("export", help=DESCRIPTION)
    commands.add_parser("demo", help="Run an export on sample events and show what it did.")
    try:
        parser.parse_args(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.USAGE
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


if __name__ == "__main__":
    sys.exit(main())
