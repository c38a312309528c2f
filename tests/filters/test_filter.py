"""The value that `parse_filter` returns."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.filters import And, Comparison, parse_filter

EVENT = make_event("x", fields={"a": "1"})


def test_attributes() -> None:
    """Text as given, tree, canonical text, comparisons in order."""
    filter_ = parse_filter('  event="x" and (a=1)')
    assert filter_.text == '  event="x" and (a=1)'
    assert str(filter_) == "event=x AND a=1"
    assert repr(filter_) == "parse_filter('  event=\"x\" and (a=1)')"
    assert filter_.comparisons == (Comparison("event", "=", "x"), Comparison("a", "=", "1"))
    assert [comparison.offset for comparison in filter_.comparisons] == [2, 17]
    assert isinstance(filter_.root, And)
    assert filter_.matches(EVENT)
    assert filter_.unterminated is None


@pytest.mark.parametrize("text", ["", "  \n", '"event=x', '"'])
def test_blank(text: str) -> None:
    """A blank filter is valid and matches nothing."""
    filter_ = parse_filter(text)
    assert filter_.root is None
    assert not filter_.matches(EVENT)
    assert str(filter_) == ""
    assert filter_ == parse_filter("")
    assert filter_.comparisons == ()
    assert filter_.event_names == frozenset()
    assert not filter_.requires_name


def test_unterminated() -> None:
    """What Dovecot ignores silently is pointed at."""
    filter_ = parse_filter('event=x "rest')
    assert filter_.unterminated == 8
    assert filter_.matches(EVENT)
    assert str(filter_) == "event=x"


def test_identity() -> None:
    """Equal trees, equal filters; usable as keys."""
    assert parse_filter("a=1 OR b=2") == parse_filter('("a"=1) or b="2"')
    assert parse_filter("a=1 OR b=2") != parse_filter("b=2 OR a=1")
    assert parse_filter("a=1") != "a=1"
    assert len({parse_filter("a=1"), parse_filter(" a=1"), parse_filter("a=2")}) == 2


def test_frozen() -> None:
    """Nothing can be assigned."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_filter("a=1").text = "b"  # type: ignore[misc]


@pytest.mark.parametrize("duplicate", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy, copy.deepcopy])
def test_copies_are_compiled_again(duplicate: object) -> None:
    """What travels is the text; warnings stay behind."""
    assert callable(duplicate)
    filter_ = parse_filter('a>1 OR a=1 "rest')
    assert filter_.matches(EVENT)
    assert len(filter_.warnings) == 1
    twin = duplicate(filter_)
    assert twin == filter_
    assert (twin.text, twin.unterminated, twin.warnings) == (filter_.text, filter_.unterminated, ())
    assert twin.matches(EVENT)
    assert len(pickle.dumps(filter_)) < 200
