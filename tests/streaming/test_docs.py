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
    commands = re.findall(r"^(?:ExecStart=)?dovebeam stream (.*)$", _PAGE.replace("\\\n", ""), re.MULTILINE)
    read = [parse_stream(_parser(), shlex.split(command)) for command in commands]
    assert [each.follow for each in read if each.follow] == [("/var/spool/dovebeam",)] * 2
    assert [bool(each.input_subscription) for each in read if not each.follow] == [True, True]


def test_options() -> None:
    """A new option is documented when it is made."""
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    assert [name for name in options - {"--help", "--debug"} if f"`{name}" not in _PAGE] == []
