"""docs/streaming.md: its commands are command lines, and no option is missing."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from dovebeam.pipelines.stream_options import add_stream_arguments, parse_stream

_PAGE = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_stream_arguments(parser)
    return parser


def test_commands() -> None:
    """Each is accepted as it stands, that of the unit file included."""
    commands = re.findall(r"^(?:ExecStart=)?dovebeam stream (.*)$", _PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert parse_stream(_parser(), shlex.split(command)).follow == ("/var/spool/dovebeam",)


def test_options() -> None:
    """A new option is documented when it is made."""
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    assert [name for name in options - {"--help", "--debug"} if f"`{name}" not in _PAGE] == []
