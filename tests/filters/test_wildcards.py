"""Wildcard matching: bytes, escapes, and time."""

from __future__ import annotations

import time

import pytest

from dovebeam.transforms.filters.wildcards import compile_wildcard


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("**", "", True),
        ("?", "", False),
        ("a*", "", False),
        ("b*", "BOB", True),
        ("*b", "BOB", True),
        ("*o*", "BOB", True),
        ("??b", "Bob", True),
        ("????", "Bob", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("ab*ba", "aba", False),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("*aab*", "aaab", True),
        ("*a?c*", "abac-axc", True),
        ("*a??", "aab", True),
        ("?*?", "a", False),
        ("?*?", "ab", True),
        ("*?*", "", False),
        ("*?b?*", "ab", False),
        ("*?b?*", "abc", True),
        ("*?b?*", "bbb", True),
        ("x*y", "x \n y", True),
        ("?", "ä", False),
        ("??", "ä", True),
        ("*Ä", "ä", False),
        ("*Ä*", "xÄy", True),
        ("k*", "\u212a", False),
        ("*k", "\u212a", False),
        ("*k*", "\u212ax", False),
        ("*x*", "\u212aX", True),
        ("?*\udca4", "ä", True),
        ("\udcc3?", "ä", True),
        ("*?", "\udcff", True),
        (r"*\*", "foo*", True),
        (r"*\*", "foo", False),
        (r"*\?x", "?x", True),
        (r"f\\?o", "f\\zo", True),
        (r"*\\*", "C:\\x", True),
        (r"say \"*", 'say "hi', False),
        (r"say \"*", 'say \\"hi', True),
        (r"\a*", "a", False),
        (r"\a*", "\\a", True),
        ("*\\", "a\\", True),
    ],
)
def test_ignoring_case(pattern: str, text: str, expected: bool) -> None:
    """Fields: the whole text, byte by byte, ASCII letters in any case."""
    assert compile_wildcard(pattern, ignore_case=True)(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("imap_*", "imap_x", True),
        ("IMAP_*", "imap_x", False),
        ("*_x", "imap_x", True),
        ("*X", "imap_x", False),
        ("*p_*", "imap_x", True),
        ("*P_*", "imap_x", False),
        ("imap?x", "imap_x", True),
        ("I*?", "imap_x", False),
        ("i*p*x", "imap_x", True),
        ("*", "", True),
    ],
)
def test_with_case(pattern: str, text: str, expected: bool) -> None:
    """Event names: case counts."""
    assert compile_wildcard(pattern, ignore_case=False)(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a" * 65_536, False),
        ("*a?a?a?a?a?a?a?a?b*", "a" * 65_536, False),
        ("*?a" * 8 + "?b", "a" * 65_536, False),
        ("?*" * 100 + "b", "a" * 65_536, False),
        ("*" * 10_000 + "b", "a" * 65_536, False),
        ("*" + "a" * 5_000 + "b*", "a" * 65_536, False),
        ("*" + "?" * 30_000 + "b*", "a" * 65_536, False),
        ("*ab" * 1_000 + "*", "ab" * 32_768, True),
    ],
)
def test_hostile_patterns_take_no_time(pattern: str, text: str, expected: bool) -> None:
    """Patterns at which a backtracking engine never ends are done in some milliseconds; a hundred times as much fails."""
    matches = compile_wildcard(pattern, ignore_case=True)
    start = time.process_time()
    assert matches(text) is expected
    assert time.process_time() - start < 2
