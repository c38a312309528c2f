"""The truth table: what each type of field says to each kind of value."""

from __future__ import annotations

import pytest

from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, IPAddress, Timestamp
from dovebeam.transforms.filters import parse_filter
from dovebeam.transforms.filters.comparisons import number_bounds

MISSING = None
MOMENT = Timestamp(1_700_000_000_000_005)
ADDRESS = IPAddress("10.1.2.3")


def verdict(operator: str, value: str, field: Value | None) -> str:
    """`yes` or `no`, with the code of the warning, for a field called x."""
    filter_ = parse_filter(f'x{operator}"{value}"')
    event = make_event("e", fields={} if field is None else {"x": field})
    text = "yes" if filter_.matches(event) else "no"
    negated = parse_filter(f'NOT x{operator}"{value}"')
    assert negated.matches(event) is (text == "no")
    return " ".join([text, *(warning.code for warning in filter_.warnings)])


# Columns: missing, string, integer, IP, timestamp, list; first with =, then with another operator.
EQUALITY = [
    ("", "yes", {"": "yes", "x": "no"}, "no W3", "no W6", {"a": "no", "": "yes"}),
    ("fish", "no", {"": "no", "FISH": "yes", "fis": "no"}, "no W3", "no W6", {"Fish": "yes", "": "no"}),
    ("5", "no", {"": "no", "5": "yes", "05": "no"}, "yes", "no W6", {"5": "yes", "6": "no"}),
    ("1k", "no", {"1024": "yes", "1k": "no"}, "no", "no W6", {"1024": "yes", "1k": "no"}),
    ("10.0.0.0/8", "no", {"10.0.0.0/8": "yes", "10.0.0.1": "no"}, "no W3", "yes", {"10.0.0.0/8": "yes"}),
    ("1m", "no", {"1M": "yes", "1048576": "no"}, "no W2", "no", {"1M": "yes", "": "no"}),
    ("5*", "no", {"": "no", "512": "yes", "x": "no"}, "yes", "no", {"5": "yes", "": "no"}),
    ("1*", "no", {"": "no", "1x": "yes"}, "no", "yes", {"1": "yes", "": "no"}),
    ("*", "no", {"": "no", "x": "yes"}, "yes", "yes", {"": "yes", "x": "yes"}),
    ("10.*", "no", {"": "no", "10.X": "yes"}, "no W3", "yes", {"10.": "yes", "": "no"}),
]


@pytest.mark.parametrize(("value", "missing", "strings", "integer", "address", "elements"), EQUALITY)
def test_equality(
    value: str, missing: str, strings: dict[str, str], integer: str, address: str, elements: dict[str, str]
) -> None:
    """The columns of `=`."""
    assert verdict("=", value, MISSING) == missing
    assert {text: verdict("=", value, text) for text in strings} == strings
    assert verdict("=", value, 5) == integer
    assert verdict("=", value, ADDRESS) == address
    assert verdict("=", value, MOMENT) == "no W7"
    assert {text: verdict("=", value, ["other", text]) for text in elements} == elements


@pytest.mark.parametrize("operator", ["<", ">", "<=", ">="])
@pytest.mark.parametrize(
    ("value", "missing", "integer"),
    [
        ("", "yes", "no W3"),
        ("fish", "no", "no W3"),
        ("10.0.0.0/8", "no", "no W3"),
        ("1m", "no", "no W2"),
        ("5*", "no", "no W4"),
        ("a*", "no", "no W3"),
    ],
)
def test_inequality(operator: str, value: str, missing: str, integer: str) -> None:
    """The columns of the other operators; a missing field does not look at the operator."""
    assert verdict(operator, value, MISSING) == missing
    assert verdict(operator, value, "fish") == "no W1"
    assert verdict(operator, value, "") == "no W1"
    assert verdict(operator, value, 5) == integer
    assert verdict(operator, value, ADDRESS) == "no W5"
    assert verdict(operator, value, MOMENT) == "no W7"
    assert verdict(operator, value, ["fish"]) == "no W8"


@pytest.mark.parametrize("number", [-1, 0, 4, 5, 6, INT64_MIN, INT64_MAX])
@pytest.mark.parametrize("limit", [-1, 5, INT64_MIN, INT64_MAX])
def test_numbers_are_compared(number: int, limit: int) -> None:
    """All operators on integers, up to the ends of 64 bits; other types warn."""
    expected = {"=": number == limit, "<": number < limit, ">": number > limit}
    expected |= {"<=": number <= limit, ">=": number >= limit}
    for operator, result in expected.items():
        assert verdict(operator, str(limit), number) == ("yes" if result else "no")
        low, high = number_bounds(operator, limit)
        assert (low <= number <= high) is result
    assert verdict("<", str(limit), "1") == "no W1"
    assert verdict("<", str(limit), MISSING) == "no"


@pytest.mark.parametrize(
    ("value", "elements", "expected"),
    [("", [], "yes"), ("*", [], "no"), ("x", [], "no"), ("", ["a"], "no"), ("", ["a", ""], "yes")],
)
def test_empty_lists_and_elements(value: str, elements: list[str], expected: str) -> None:
    """No element at all equals the empty text; an empty element does too, and `*` matches it."""
    assert verdict("=", value, list(elements)) == expected


def test_mapped_addresses_and_bad_ones() -> None:
    """A mapped address is IPv4 to a network test and IPv6 to a pattern."""
    mapped = IPAddress("::ffff:1.2.3.4")
    assert verdict("=", "1.2.3.4", mapped) == "yes"
    assert verdict("=", "::ffff:*", mapped) == "yes"
    assert verdict("=", "1.*", mapped) == "no"
    assert verdict("=", "0.0.0.0/0", IPAddress("nonsense")) == "no"


def test_types_that_no_event_has() -> None:
    """A bool is an integer, as in Python; a float is a mistake of whoever built the event, and said to be one."""
    assert verdict("=", "1", True) == "yes"
    with pytest.raises(TypeError, match="'x' has a value of type float"):
        verdict("=", "1", 1.5)  # type: ignore[arg-type]
