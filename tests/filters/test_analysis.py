"""What is known about a filter before an event is seen."""

from __future__ import annotations

import pytest

from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.filters.filter import OTHER, Outlook, outlook


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event=x", True),
        ("event=*", True),
        ("a=1", False),
        ("category=imap", False),
        ("source_location=a.c", False),
        ("NOT event=x", True),
        ("NOT a=1", False),
        ("event=x AND a=1", True),
        ("a=1 AND event=x", True),
        ("event=x OR a=1", False),
        ("event=x OR event=y", True),
        ("event=x OR a=1 AND event=y", True),
        ("NOT (event=x OR a=1)", False),
        ("", False),
        ("Event=x", False),
    ],
)
def test_requires_name(text: str, expected: bool) -> None:
    """An `event` comparison does, AND needs one operand that does, OR needs all; NOT changes nothing."""
    assert parse_filter(text).requires_name is expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("event=x", {"x"}),
        ('event="\\*"', {"*"}),
        ('event=""', {""}),
        ("event=x AND a=1", {"x"}),
        ("a=1 AND event=x", {"x"}),
        ("event=x OR event=y", {"x", "y"}),
        ("event=x OR event=y AND a=1", {"x", "y"}),
        ("NOT NOT event=x", {"x"}),
        ("NOT (NOT event=x OR a=1)", {"x"}),
        ("event=x* AND event=xy", {"xy"}),
        ("event=x*", None),
        ("NOT event=x", None),
        ("event=x OR a=1", None),
        ("a=1", None),
        ("NOT (event=x AND a=1)", None),
        ("", set()),
    ],
)
def test_event_names(text: str, names: set[str] | None) -> None:
    """Outside of these names the filter cannot match."""
    assert parse_filter(text).event_names == names


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("event=x", "x", Outlook(True, False, False)),
        ("event=x", "y", Outlook(False, True, False)),
        ("event=x", OTHER, Outlook(False, True, False)),
        ("event=x*", "xy", Outlook(True, False, False)),
        ("event=x*", OTHER, Outlook(True, True, False)),
        ("a=1", "x", Outlook(True, True, True)),
        ("duration>1", "x", Outlook(True, True, False)),
        ("event=x AND a=1", "y", Outlook(False, True, False)),
        ("event=x AND a=1", "x", Outlook(True, True, True)),
        ("a=1 AND event=x", "y", Outlook(False, True, True)),
        ("duration>1 AND event=x", "y", Outlook(False, True, False)),
        ("event=x OR a=1", "x", Outlook(True, False, False)),
        ("NOT event=x OR a=1", "y", Outlook(True, False, False)),
        ("NOT event=x AND a=1", "y", Outlook(True, True, True)),
        ("category=c AND event=x", "y", Outlook(False, True, False)),
    ],
)
def test_outlook(text: str, name: str, expected: Outlook) -> None:
    """Match, failure and warning are possible only if some event of that name could bring them about."""
    root = parse_filter(text).root
    assert root is not None
    assert outlook(root, name) == expected
