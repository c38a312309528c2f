"""How a value is understood."""

from __future__ import annotations

import pytest

from dovebeam.transforms.filters.values import classify, escape_value
from dovebeam.transforms.filters.wildcards import unescape


@pytest.mark.parametrize(
    ("text", "kind", "normalised"),
    [
        ("1.5", "ip", "1.0.0.5"),
        ("0.5", "ip", "0.0.0.5"),
        ("1.2.3", "ip", "1.2.0.3"),
        ("0x1F", "ip", "0.0.0.31"),
        ("10/8", "ip", "0.0.0.10/8"),
        ("2024/05", "ip", "0.0.7.232/5"),
        ("a::b", "ip", "a::b"),
        ("dead::", "ip", "dead::"),
        ("::", "ip", "::"),
        ("010", "integer", "10"),
        ("00", "integer", "0"),
        ("-0", "integer", "0"),
        ("1k", "integer", "1024"),
        ("5b", "integer", "5"),
        ("1s", "integer", "1000000"),
        ("10d", "integer", "864000000000"),
        ("1mi", "integer", "1048576"),
        ("1m", "ambiguous", "1m"),
        ("1M", "ambiguous", "1M"),
        ("1 m", "ambiguous", "1 m"),
        ("0m", "ambiguous", "0m"),
        ("8796093022208m", "ambiguous", "8796093022208m"),
        ("17592186044416m", "literal", "17592186044416m"),
        ("5 ", "integer", "5"),
        *((text, "literal", text) for text in [" 5", "+5", "1e5", "1.5k", "--5", "-5k", "99999999999999999999"]),
        *((text, "literal", text) for text in ["9223372036854775808", "8w", "50d", "8388608t", "1min ", "1\tmin"]),
        *((text, "literal", text) for text in ["127.0.0.1/33", "127.0.0.1/", "256.1.1.1", "1:2", "", "fish", "ä"]),
        ("8388607t", "integer", "9223370937343148032"),
        (r"\1.5", "literal", "1.5"),
        (r"\010", "literal", "010"),
        (r"say \"hi\"", "literal", 'say "hi"'),
        (r"\*", "literal", "*"),
        ("*", "numeric pattern", "*"),
        ("?", "numeric pattern", "?"),
        ("**", "numeric pattern", "**"),
        ("4*", "numeric pattern", "4*"),
        ("*1?", "numeric pattern", "*1?"),
        ("-1*", "pattern", "-1*"),
        ("1*k", "pattern", "1*k"),
        ("a*", "pattern", "a*"),
        (r"*\*", "pattern", r"*\*"),
        ("1.5*", "pattern", "1.5*"),
    ],
)
def test_classification(text: str, kind: str, normalised: str) -> None:
    """The first of integer, address, ambiguous size, size, interval, literal and pattern that fits."""
    value = classify(text)
    assert (value.kind, value.text) == (kind, normalised)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("bob", "bob"),
        ("", ""),
        ('a"b\\c*d?', r"a\"b\\c\*d\?"),
        ("10", "10"),
        ("10.0.0.1", "10.0.0.1"),
        ("010", r"\010"),
        ("1.5", r"\1.5"),
        ("1k", r"\1k"),
        ("5 ", r"\5 "),
        ("1m", "1m"),
        ("2001:0::1", r"\2001:0::1"),
    ],
)
def test_escape_value(text: str, escaped: str) -> None:
    """What would be changed because it looks like a number or an address is forced to stay text."""
    assert escape_value(text) == escaped
    assert unescape(escaped) == text
    assert classify(escaped).text == text
