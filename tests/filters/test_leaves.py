"""Special keys, duration, and fields whose type an export has lost."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from dovebeam.transforms.events.event import Event, ExportedEvent, make_event
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.filters.comparisons import exact_name, may_warn
from dovebeam.transforms.filters.nodes import Comparison


def check(text: str, event: Event, expected: bool) -> None:
    """Asserts the result of a filter and of its negation."""
    assert parse_filter(text).matches(event) is expected
    assert parse_filter(f"NOT ({text})").matches(event) is not expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("event=x", "x", True),
        ("event=X", "x", False),
        ("event=x*", "xy", True),
        ("event=X*", "xy", False),
        ('event="x\\*"', "x*", True),
        ('event="x\\*"', "xy", False),
        ('event="\\x"', "x", True),
        ("event=010", "010", True),
        ("event=1k", "1k", True),
        ("event=?", "ä", False),
        ("event=??", "ä", True),
        ("event=*", "", True),
        ('event=""', "", True),
        ("event=*", None, False),
        ("event=**", None, False),
        ('event=""', None, False),
        ('event="ä"', "ä", True),
    ],
)
def test_event_name(text: str, name: str | None, expected: bool) -> None:
    """With case, never a number; an unnamed event has no name, not an empty one."""
    check(text, make_event(name), expected)


@pytest.mark.parametrize(
    ("text", "categories", "level", "expected"),
    [
        ("category=imap", ["imap"], None, True),
        ("category=IMAP", ["imap"], None, False),
        ("category=imap*", ["imap"], None, False),
        ("category=storage", ["mailbox", "storage"], None, True),
        ('category="im\\ap"', ["imap"], None, True),
        ('category=""', [""], None, False),
        ('category=""', None, None, False),
        ("category=imap", None, None, False),
        ("category=error", [], "error", True),
        ("category=error", ["error"], "info", False),
        ("category=error", ["error"], None, False),
        ("category=warning", [], "error", False),
        ('category="panic"', [], "panic", True),
        ("category=Error", ["Error"], "error", True),
        ("category=Error", [], "error", False),
        ('category="\\debug"', ["debug"], "info", True),
        ('category="\\debug"', [], "debug", False),
    ],
)
def test_category(text: str, categories: list[str] | None, level: str | None, expected: bool) -> None:
    """A log level's exact name asks for the level, anything else for a category; no wildcards, no case folding."""
    check(text, make_event("x", categories=categories, log_type=level), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("a.c", ("a.c", 5), True),
        ("a.c:5", ("a.c", 5), True),
        ("a.c:05", ("a.c", 5), False),
        ("a.c:", ("a.c", 5), False),
        ("A.c", ("a.c", 5), False),
        ("a.*", ("a.c", 5), False),
        ("a\\.c\\:5", ("a.c", 5), True),
        ("x:y.c:5", ("x:y.c", 5), True),
        ("x:y.c", ("x:y.c", 5), False),
        ("", ("", 5), True),
        ("", ("a.c", 5), False),
        ("a.c", None, False),
        ("", None, False),
        (":", None, False),
    ],
)
def test_source_location(text: str, source: tuple[str, int] | None, expected: bool) -> None:
    """FILE or FILE:LINE as text."""
    check(f'source_location="{text}"', make_event("x", source=source), expected)


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("duration=0", None, True),
        ("duration=0", {}, True),
        ("duration>1ms", {"duration": 1001}, True),
        ("duration>1ms", {"duration": 1000}, False),
        ("duration<1s", {"duration": 1000}, True),
        ("duration=1*", {"duration": 1000}, True),
        ("duration=*", None, True),
        ('duration=""', None, False),
        ('duration=""', {}, False),
        ("duration=0", {"duration": "text"}, True),
        ("duration=5", {"duration": "5"}, False),
        ("duration=0", {"duration": [""]}, True),
        ("Duration=0", {"duration": 0}, False),
    ],
)
def test_duration(text: str, fields: dict[str, object] | None, expected: bool) -> None:
    """Always there, always an integer: the event's duration, whatever other field has the name."""
    check(text, make_event("x", fields=fields), expected)  # type: ignore[arg-type]


EXPORTED = ExportedEvent(
    "mail_user_session_finished",
    raw_fields={
        "remote_ip": "10.0.0.7",
        "local_ip": "010.0.0.7",
        "last_run_time": "2019-06-19T10:38:25.424812Z",
        "note": "10.0.0.7",
        "size": 5,
        "ip": 5,
        "net_ip": ["a"],
    },
)


@pytest.mark.parametrize(
    ("text", "expected", "codes"),
    [
        ("remote_ip=10.0.0.0/8", True, []),
        ("remote_ip=10.0.0.*", True, []),
        ("remote_ip=fish", False, ["W6"]),
        ("local_ip=10.0.0.0/8", False, []),
        ("local_ip=010.*", True, []),
        ("last_run_time=*", False, ["W7"]),
        ("last_run_time>0", False, ["W7"]),
        ("note=10.0.0.0/8", False, []),
        ("note=10.0.0.7", True, []),
        ("size=5", True, []),
        ("ip=5", True, []),
        ("net_ip=A", True, []),
        ("gone_ip=10.0.0.0/8", False, []),
        ('gone_time=""', True, []),
        ("category=error", False, []),
        ("source_location=a.c", False, []),
    ],
)
def test_exported_events_get_their_types_back(text: str, expected: bool, codes: list[str]) -> None:
    """Fields that are known to be addresses or timestamps are compared as such; levels and sources are unknown."""
    filter_ = parse_filter(text)
    assert filter_.matches(EXPORTED) is expected
    assert [warning.code for warning in filter_.warnings] == codes


def test_an_event_with_nothing_in_it() -> None:
    """Every part may be absent."""
    event = ExportedEvent()
    assert event.raw_fields is UNSET
    for text in ("event=*", "category=x", "category=error", "a=*", "a=1", "a>1", "remote_ip=::/0", "source_location=x"):
        check(text, event, expected=False)
    for text in ('a=""', 'remote_ip=""', "duration=0", 'a>""'):
        check(text, event, expected=True)


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [("event", "x", "x"), ("event", r"\*", "*"), ("event", "x*", None), ("event", "", ""), ("Event", "x", None)],
)
def test_exact_name(key: str, value: str, name: str | None) -> None:
    """The only name that a comparison holds for."""
    assert exact_name(Comparison(key, "=", value)) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event=x", False),
        ("category=5", False),
        ("source_location=5", False),
        ("duration>5", False),
        ("duration=5*", False),
        ("duration>5*", True),
        ("duration=x", True),
        ("duration=1m", True),
        ("a=1", True),
    ],
)
def test_may_warn(text: str, expected: bool) -> None:
    """Which comparisons can leave a warning, whatever the event."""
    assert may_warn(parse_filter(text).comparisons[0]) is expected
