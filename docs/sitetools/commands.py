"""Commands, their options and exit codes, from their own parsers."""

from __future__ import annotations

import argparse
import contextlib
import functools
import re
from collections.abc import Iterator
from importlib import import_module
from unittest import mock

from dovebeam.pipelines import command_line
from dovebeam.pipelines.terminal.exit_codes import MEANINGS
from sitetools.tables import code, table

__all__ = ["command", "exit_codes", "parser_of"]


def command(name: str) -> str:
    """Usage and options of a command."""
    parser = parser_of(name)
    parser.formatter_class = functools.partial(argparse.HelpFormatter, width=84)  # type: ignore[assignment]
    parts = [
        f"{_prose(parser.description)}\n",
        f"```text\n{parser.format_usage().removeprefix('usage: ').strip()}\n```\n",
        table(("option", "meaning"), _rows(parser)),
        f"{_prose(parser.epilog)}\n",
    ]
    return "\n".join(parts)


def exit_codes() -> str:
    """Exit codes of the commands, with their meanings."""
    return table(("code", "meaning"), ((str(int(each)), f"{text}.") for each, text in MEANINGS.items()))


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a command, as it is when the command is asked for help.

    Raises:
        KeyError: there is no such command.
    """
    module = import_module(f"dovebeam.pipelines.{command_line._COMMANDS[name][0]}")
    with (
        mock.patch.object(argparse.ArgumentParser, "print_help", autospec=True) as printed,
        contextlib.suppress(SystemExit),
    ):
        module.main(["--help"], f"dovebeam {name}")
    parser: argparse.ArgumentParser = printed.call_args.args[0]
    return parser


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    formatter = argparse.HelpFormatter(parser.prog)
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        name = action.option_strings[-1] if action.option_strings else ""
        value = formatter._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        anchor = f"{parser.prog.split()[-1]}-{action.dest}"
        yield code(f"{name} {value}".strip(), anchor), _prose(action.help)


def _prose(text: str | None) -> str:
    """A text of argparse as Markdown: options in the font of code, if they are not yet."""
    pieces = (text or "").replace("%%", "%").split("`")
    pieces[::2] = [re.sub(r"--[a-z][a-z_=0-9]*", r"`\g<0>`", piece) for piece in pieces[::2]]
    return "`".join(pieces)
