"""Bytes, ASCII folding and backslashes."""

from __future__ import annotations

import pytest

from dovebeam.transforms.filters.wildcards import equals_ignoring_case, fold, has_wildcard, to_bytes, to_text, unescape


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("abc", "abc"),
        (r"x\y", "xy"),
        (r"\*", "*"),
        (r"\\", "\\"),
        (r"\"", '"'),
        (r"\\\*", r"\*"),
        ("\\\n", "\n"),
        ("\\ä", "ä"),
        ("\udcc3\\\udca4", "ä"),
        ("\udcff\\\udcfe", "\udcff\udcfe"),
    ],
)
def test_unescape(text: str, plain: str) -> None:
    """Each backslash goes, the character after it stays; bytes that meet make a character."""
    assert unescape(text) == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", False), ("*", True), ("a?", True), (r"\*", False), (r"\\*", True), (r"\a*", True), (r"\?\*", False)],
)
def test_has_wildcard(text: str, expected: bool) -> None:
    """Only what no backslash takes away counts."""
    assert has_wildcard(text) is expected


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        ("bob", "BOB", True),
        ("BOB", "bob", True),
        ("bob", "bobo", False),
        ("k", "\u212a", False),  # the Kelvin sign, a k to str.lower
        ("ſ", "s", False),
        ("Ä", "ä", False),
        ("Äx", "ÄX", True),
        ("ß", "SS", False),
        ("İ", "i̇", False),
        ("[", "{", False),
        ("@", "`", False),
        ("5", "5", True),
        ("", "", True),
        ("\udcffA", "\udcffa", True),
    ],
)
def test_equality_folds_ascii_only(wanted: str, text: str, expected: bool) -> None:
    """A-Z count as a-z and nothing else does."""
    assert equals_ignoring_case(wanted)(text) is expected


def test_bytes_of_any_text() -> None:
    """Surrogate escapes are their bytes; surrogates that no decoder makes do not fail."""
    assert to_bytes("aä\udcff") == b"a\xc3\xa4\xff"
    assert to_text(b"a\xc3\xa4\xff") == "aä\udcff"
    assert to_bytes("\ud800\udcffA") == b"\xed\xa0\x80\xffA"
    assert fold("AÄZ[\udcc0") == b"a\xc3\x84z[\xc0"
