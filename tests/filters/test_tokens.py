"""The scanner: which characters make which token."""

from __future__ import annotations

import pytest

from dovebeam.transforms.filters.nodes import Token, is_plain_word, scan


def kinds(text: str) -> list[str]:
    """The kinds of all tokens but the last."""
    return [token.kind for token in scan(text)][:-1]


@pytest.mark.parametrize(
    "word",
    "foo.c:123 127.0.0.0/8 50% 2001:db8::/32 service:imap fe80::1%lo -5 - a*b? android NOTx and-x 1AND x_y".split(),
)
def test_words_are_one_token(word: str) -> None:
    """The characters of a word are letters, digits and : . * ? / % _ -; the longest run counts."""
    assert list(scan(word)) == [Token("TOKEN", word, 0), Token("end of file", "", len(word))]


@pytest.mark.parametrize("char", [*"',;!&|#@+~$[]{}\\^`", "\x00", "\x0b", "\x0c", "\x7f", "ä", "\u00a0", "\udcff"])
def test_other_characters_are_invalid(char: str) -> None:
    """What is neither word, white space, operator nor quote is an invalid token, every non-ASCII byte included."""
    assert kinds(f"a{char}b") == ["TOKEN", "invalid token", "TOKEN"]


@pytest.mark.parametrize("space", [" ", "\t", "\r", "\n", " \r\n\t "])
def test_white_space_separates_and_vanishes(space: str) -> None:
    """Space, TAB, CR and LF."""
    assert kinds(f"{space}a{space}b{space}") == ["TOKEN", "TOKEN"]


@pytest.mark.parametrize("keyword", "AND OR NOT and or not And oR nOT".split())
def test_keywords_in_any_case(keyword: str) -> None:
    """A keyword keeps, as a value, its lower-case text."""
    first = next(scan(f"{keyword}(x"))
    assert first == Token(keyword.upper(), keyword.lower(), 0)


def test_quoted_keywords_are_strings() -> None:
    """A keyword in quotes is a string and keeps its case."""
    assert next(scan('"AND"')) == Token("STRING", "AND", 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('""', ""),
        ('"a b"', "a b"),
        (r'"a\"b"', r"a\"b"),
        (r'"a\\"', r"a\\"),
        (r'"\x"', r"\x"),
        ('"a\nb"', "a\nb"),
        ('"a\\\nb"', "a\nb"),
        ('"a\\\\\nb"', "a\\\\\nb"),
        ('"\udcff"', "\udcff"),
    ],
)
def test_strings_keep_their_backslashes(text: str, value: str) -> None:
    """A backslash takes the next character with it and stays, except alone before a line feed."""
    assert list(scan(text)) == [Token("STRING", value, 0), Token("end of file", "", len(text))]


@pytest.mark.parametrize("text", ['a "b', 'a "', 'a "b\\"', 'a "b\\', 'a "b AND c=d\n('])
def test_an_unterminated_string_is_the_end(text: str) -> None:
    """It swallows the rest; the end token stands at the quote."""
    assert list(scan(text)) == [Token("TOKEN", "a", 0), Token("end of file", '"', 2)]


def test_two_character_operators_are_two_tokens() -> None:
    """`>=` is `>` and `=`, so that white space may stand between."""
    assert kinds("a>=b") == kinds("a > = b") == ["TOKEN", "'>'", "'='", "TOKEN"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a", True), ("a.b:c", True), ("", False), ("and", False), ("Not", False), ("a b", False), ("ä", False)],
)
def test_plain_words(text: str, plain: bool) -> None:
    """What can be written without quotes."""
    assert is_plain_word(text) is plain
