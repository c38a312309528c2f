"""Integers, sizes and intervals."""

from __future__ import annotations

import pytest

from dovebeam.transforms.filters.values import parse_integer, parse_interval, parse_size

_SPELLINGS = {
    1: "ms mse msec msecs mseco msecon msecond mseconds mil mill milli millis millise millisec millisecs milliseco "
    "millisecon millisecond milliseconds",
    1_000: "s se sec secs seco secon second seconds",
    60_000: "min mins minu minut minute minutes",
    3_600_000: "h ho hou hour hours",
    86_400_000: "d da day days",
    604_800_000: "w we wee week weeks",
}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-0", 0),
        ("010", 10),
        ("-5", -5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0" * 10_000 + "7", 7),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("9" * 10_000, None),
        *((text, None) for text in ["", "-", "+5", "--5", " 5", "5 ", "1e5", "0x1", "٣", "1_000"]),
    ],
)
def test_integers(text: str, number: int | None) -> None:
    """One optional minus, ASCII digits, 64 bits; texts longer than Python converts by default are no problem."""
    assert parse_integer(text) == number


@pytest.mark.parametrize(("power", "letter"), list(enumerate("KMGT", 1)))
@pytest.mark.parametrize("rest", ["", "i", "B", "b", "iB", "IB"])
def test_size_units(power: int, letter: str, rest: str) -> None:
    """Powers of 1024, the unit in any case."""
    assert parse_size(f"3{letter}{rest}") == parse_size(f"3{letter.lower()}{rest}") == 3 * 1024**power


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5", 5),
        ("5 ", 5),
        ("5b", 5),
        ("1   kb", 1024),
        ("18446744073709551615B", 2**64 - 1),
        ("16777215T", 16777215 * 2**40),
        ("16777216T", None),
        ("18446744073709551616B", None),
        *((text, None) for text in ["", "k", "1kbi", "1bi", "1p", "1.5k", "1k ", "-5k", " 1k", "1\tk", "1kk", "1bb"]),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    """Digits, spaces, unit; digits and product in unsigned 64 bits."""
    assert parse_size(text) == size


@pytest.mark.parametrize(("msec", "words"), list(_SPELLINGS.items()))
def test_interval_units_and_their_prefixes(msec: int, words: str) -> None:
    """Every accepted spelling, in any case."""
    for word in words.split():
        assert parse_interval(f"2{word}") == parse_interval(f"2 {word.upper()}") == 2 * msec * 1000


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("4294967s", 4_294_967_000_000),
        ("4294968s", None),
        ("71582mins", 71582 * 60_000_000),
        ("71583mins", None),
        ("1193h", 1193 * 3_600_000_000),
        ("1194h", None),
        ("49d", 49 * 86_400_000_000),
        ("50d", None),
        ("7w", 7 * 604_800_000_000),
        ("8w", None),
        ("4294967295ms", 4_294_967_295_000),
        ("4294967296ms", None),
        *(
            (text, None)
            for text in ["5", "5 ", "m", "5m", "5mi", "5ss", "5us", "5sx", "5\ts", "5s ", "-5s", "5 hourss"]
        ),
    ],
)
def test_intervals(text: str, usec: int | None) -> None:
    """At most 2^32 - 1 milliseconds; a unit is needed."""
    assert parse_interval(text) == usec
