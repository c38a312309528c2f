"""The exceptions: texts that say where and what, and pickling."""

import difflib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.errors import (
    ConfigError,
    ConfigProblem,
    DecodeError,
    DovebeamError,
    FilterSyntaxError,
    UnknownNameError,
    closest_name,
)

PROBLEM = ConfigProblem("a.conf", 3, 5, "  drivr = log", "unknown setting", "did you mean 'driver'?")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DecodeError("expected ':'", 7), "expected ':' (byte 7)"),
        (
            FilterSyntaxError("event filter: oops", "a=1\nb ==", 7, "write ="),
            "event filter: oops (character 7)\n  b ==\n     ^\nwrite =",
        ),
        (ConfigError([PROBLEM]), "a.conf:3:5: unknown setting\n    drivr = log\n      ^\ndid you mean 'driver'?"),
        (
            UnknownNameError("driver", "htpp-post", ["log", "http-post"]),
            "unknown driver 'htpp-post'; supported: http-post, log; did you mean 'http-post'?",
        ),
    ],
)
def test_texts_and_pickles(error: DovebeamError, text: str) -> None:
    """An error says where, what and what instead, also after it crossed a process."""
    assert str(error) == text
    assert str(pickle.loads(pickle.dumps(error))) == text


def test_all_problems_are_shown() -> None:
    """A configuration error shows every problem, not only the first."""
    error = ConfigError([PROBLEM, ConfigProblem("b.conf", 0, 0, "", "missing")])
    assert str(error).count("\n\n") == 1
    assert str(error).endswith("b.conf: missing")


def test_long_and_hostile_lines_stay_readable() -> None:
    """A line of a megabyte is cut around the place, control characters do not reach the terminal."""
    line = "x" * 500_000 + "\x1b[31m!" + "y" * 500_000
    text = str(FilterSyntaxError("event filter: oops", line, 500_000))
    assert len(text) < 500
    assert "\x1b" not in text
    shown, caret = text.split("\n")[1:]
    assert shown[caret.index("^") + 1] == "["


@pytest.mark.parametrize(("name", "near"), [("drivr", "driver"), ("xyz", ""), ("d" * 10**6, "")])
def test_closest_name(name: str, near: str) -> None:
    """A suggestion is made only for a near miss, and never takes long."""
    assert closest_name(name, ["driver", "format"]) == near


@given(
    st.text("abcd_", min_size=1, max_size=12), st.lists(st.text("abcd_", min_size=1, max_size=12)), st.floats(0.5, 1)
)
def test_likeness_of_the_closest_name(name: str, known: list[str], likeness: float) -> None:
    """A known name is its own suggestion; any suggestion is known and as like as was asked for."""
    assert closest_name(name, [*known, name], likeness) == name
    near = closest_name(name, known, likeness)
    assert near in {"", *known}
    assert not near or difflib.SequenceMatcher(None, near, name).ratio() >= likeness
