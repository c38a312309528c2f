"""Many filters: unnamed events, order, names."""

from __future__ import annotations

import pickle

import pytest

from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.filters import Dispatcher, accepts_unnamed, parse_filter
from dovebeam.transforms.filters import filter as module


def dispatcher(*texts: str) -> Dispatcher:
    """A dispatcher for these filters."""
    return Dispatcher(parse_filter(text) for text in texts)


UNNAMED = make_event(None, categories=["imap"])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["NOT event=x"], []),
        (["NOT event=x", "foo=bar"], [0]),
        (["NOT event=x", ""], []),
        (["NOT event=x", " "], []),
        (["category=imap"], [0]),
        (["event=x OR category=imap"], [0]),
        (['event=""'], []),
        (["event=*", "NOT event=*", "category=imap"], [1, 2]),
        ([""], []),
        ([], []),
    ],
)
def test_unnamed_events(texts: list[str], expected: list[int]) -> None:
    """They match nothing if every filter requires a name; blank filters have no say."""
    assert dispatcher(*texts).matching(UNNAMED) == expected


def test_a_part_of_a_configuration_follows_the_whole() -> None:
    """Whether unnamed events count is decided by all filters, also those that a dispatcher does not have."""
    whole = [parse_filter("NOT event=x"), parse_filter("foo=bar"), parse_filter("")]
    assert accepts_unnamed(whole)
    assert not accepts_unnamed([*whole[:1], *whole[2:]])
    for unnamed, expected in ((accepts_unnamed(whole), [0]), (False, []), (None, [])):
        part = Dispatcher(whole[:1], unnamed)
        assert part.matching(UNNAMED) == expected
        assert pickle.loads(pickle.dumps(part)).matching(UNNAMED) == expected


def test_the_empty_name_is_a_name() -> None:
    """An event called '' is not unnamed."""
    assert dispatcher('event=""', "NOT event=x", "event=*").matching(make_event("")) == [0, 1, 2]


def test_order_and_names() -> None:
    """All matching filters in the order of the configuration, whichever way they name the event."""
    filters = dispatcher(
        "a=1", "event=x", "event=y", "event=x*", "NOT event=x", "event=x OR event=y", "event=x AND a=2"
    )
    event = make_event("x", fields={"a": "1"})
    assert filters.matching(event) == [0, 1, 3, 5]
    assert filters.matching(make_event("y")) == [2, 4, 5]
    assert filters.matching(make_event("xy")) == [3, 4]
    assert filters.matching(make_event("z")) == [4]
    assert filters.matching(event) == [0, 1, 3, 5]


def test_filters_of_other_names_are_not_tried() -> None:
    """What begins with the name is skipped for the events of other names."""
    filters = dispatcher("event=x AND a=fish", "event=y AND a=fish", "event=x* AND a=fish", "a=fish AND event=x")
    filters.matching(make_event("z", fields={"a": 1}))
    assert [len(filter_.warnings) for filter_ in filters.filters] == [0, 0, 0, 1]


def test_unknown_names_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data with any number of names takes bounded memory; results stay right, and configured names stay fast."""
    monkeypatch.setattr(module, "_MAX_UNKNOWN_NAMES", 10)
    filters = dispatcher("event=x", "event=n*", "NOT event=n5", "event=n500")
    for number in range(1_000):
        expected = [1] + [2] * (number != 5) + [3] * (number == 500)
        assert filters.matching(make_event(f"n{number}")) == expected
    assert filters.matching(make_event("x" * 100_000)) == [2]
    assert filters.matching(make_event("x")) == [0, 2]
    assert len(filters.candidates) < 20
    assert "x" in filters.candidates


def test_pickled() -> None:
    """A worker gets the same dispatcher."""
    restored = pickle.loads(pickle.dumps(dispatcher("event=x", "a=1")))
    assert restored.matching(make_event("x", fields={"a": "1"})) == [0, 1]
