"""How a filter fares with many events."""

from __future__ import annotations

import pytest

from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.filters import Profile, parse_filter

EVENTS = [make_event("a", fields={"n": n, "s": f"v{n}"}, categories=["imap"]) for n in range(8)] + [make_event("b")]


def test_counts() -> None:
    """Each comparison is counted as far as it was reached, with a few of the values that it failed on."""
    filter_ = parse_filter("event=a AND n>4 AND NOT s=v7")
    profile = Profile(filter_)
    assert [profile.add(event) for event in EVENTS] == [filter_.matches(event) for event in EVENTS]
    assert (profile.events, profile.matched) == (9, 2)
    assert [(str(c.comparison), c.true, c.false, list(c.misses)) for c in profile.counts] == [
        ("event=a", 8, 1, ["b"]),
        ("n>4", 3, 5, ["0", "1", "2"]),
        ("s=v7", 1, 2, ["v5", "v6"]),
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "nothing"),
        ({"f": ["a", "b"]}, "a, b"),
        ({"f": []}, "none"),
        ({"f": IPAddress("192.0.2.1")}, "192.0.2.1"),
        ({"f": Timestamp(1_000_000)}, "1970-01-01T00:00:01.000000Z"),
        ({"f": "x" * 100}, "x" * 57 + "..."),
    ],
)
def test_what_is_shown(fields: dict, text: str) -> None:
    """Values of every type, shortened."""
    profile = Profile(parse_filter("f=other"))
    profile.add(make_event("e", fields=fields))
    assert list(profile.counts[0].misses) == [text]


def test_warnings_are_its_own() -> None:
    """The filter's own warnings are left alone."""
    filter_ = parse_filter("n=fish")
    profile = Profile(filter_)
    for event in EVENTS:
        profile.add(event)
    assert [warning.code for warning in profile.warnings] == ["W3"]
    assert filter_.warnings == ()


def test_blank_filter() -> None:
    """It matches nothing and has nothing to count."""
    profile = Profile(parse_filter(""))
    assert not profile.add(EVENTS[0])
    assert (profile.events, profile.matched, profile.counts) == (1, 0, ())
