"""Warnings: Dovecot's texts, each once."""

from __future__ import annotations

import pytest

from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.filters import FilterWarning, parse_filter

TAIL = " (event=e, source=a.c:7)"


def event(field: Value, name: str | None = "e") -> Event:
    """An event with a field called x."""
    return make_event(name, fields={"x": field}, source=("a.c", 7))


@pytest.mark.parametrize(
    ("text", "field", "code", "warning"),
    [
        ("x>a", "s", "W1", "Event filter for string field 'x' only supports equality operation '=' not '>'."),
        ("x>=5", "s", "W1", "Event filter for string field 'x' only supports equality operation '=' not '>='."),
        (
            "x=1m",
            5,
            "W2",
            "Event filter matches integer field 'x' with value that has an ambiguous unit '1m'. "
            "Please use either 'mins' or 'MB' to specify interval or size respectively.",
        ),
        ('x="fi\\sh"', 5, "W3", "Event filter matches integer field 'x' against non-integer value 'fish'."),
        ("x=1.5", 5, "W3", "Event filter matches integer field 'x' against non-integer value '1.0.0.5'."),
        ('x=""', 5, "W3", "Event filter matches integer field 'x' against non-integer value ''."),
        (
            "x<5*",
            5,
            "W4",
            "Event filter matches integer field 'x' against wildcard value '5*' "
            "with an incompatible operation '<', please use '='.",
        ),
        (
            "x<=1.2.3.4",
            IPAddress("::1"),
            "W5",
            "Event filter for IP field 'x' only supports equality operation '=' not '<='.",
        ),
        ("x=1k", IPAddress("::1"), "W6", "Event filter matches IP field 'x' against non-IP value '1024'."),
        ("x=*", Timestamp(0), "W7", "Event filter for timeval field 'x' is currently not implemented."),
        ("x<a", ["s"], "W8", "Event filter for string list field 'x' only supports equality operation '=' not '<'."),
        ('x="{key}"', 5, "W3", "Event filter matches integer field 'x' against non-integer value '{key}'."),
    ],
)
def test_texts(text: str, field: Value, code: str, warning: str) -> None:
    """Dovecot's text with the event that it happened with, and the place of the comparison."""
    filter_ = parse_filter(f"event=e AND {text}")
    assert not filter_.matches(event(field))
    assert filter_.warnings == (FilterWarning(code, warning + TAIL, 12),)


def test_once_per_comparison_and_kind() -> None:
    """The same mismatch again says nothing; another comparison and another group of codes do."""
    filter_ = parse_filter("x>a OR x>a")
    for field in ("s", "t", ["l"], IPAddress("::1"), Timestamp(0), 5, "s"):
        filter_.matches(event(field))
    codes = [(warning.code, warning.offset) for warning in filter_.warnings]
    assert codes == [(code, offset) for code in ("W1", "W5", "W7", "W3") for offset in (0, 7)]


@pytest.mark.parametrize(("first", "second"), [(5, IPAddress("::1")), (IPAddress("::1"), 5)])
def test_integer_and_address_share_a_flag(first: Value, second: Value) -> None:
    """After W3, a W6 of the same comparison is suppressed, and the other way round."""
    filter_ = parse_filter("x=fish")
    filter_.matches(event(first))
    filter_.matches(event(second))
    assert len(filter_.warnings) == 1


def test_short_circuited_comparisons_do_not_warn() -> None:
    """Only what is evaluated warns; parsing alone never does."""
    filter_ = parse_filter("(event=f AND x=fish) OR (event=e OR x=fish)")
    assert filter_.warnings == ()
    assert filter_.matches(event(5))
    assert filter_.warnings == ()


def test_tail_of_events_without_name_or_source() -> None:
    """The name is empty for unnamed events; an exported event does not know its source."""
    filter_ = parse_filter("x=fish")
    filter_.matches(make_event(None, fields={"x": 5}))
    assert filter_.warnings[0].text.endswith(" (event=, source=unknown)")
