"""docs/streaming.md: no option is missing."""

from __future__ import annotations

import argparse
from pathlib import Path

from dovebeam.pipelines.stream.options import add_stream_arguments

_PAGE = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_stream_arguments(parser)
    return parser


def test_options() -> None:
    """A new option is documented when it is made."""
    options = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    assert [name for name in options - {"--help", "--debug"} if f"`{name}" not in _PAGE] == []
