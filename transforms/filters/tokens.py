"""The scanner: filter text to tokens, one at a time, so that nothing after the first error is looked at.

Rules from Dovecot's event filter language, "Tokens". Dovecot scans bytes and knows only ASCII; every other character is
an invalid token outside of a string, which makes scanning characters the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["AND", "END", "INVALID", "KEYWORDS", "NOT", "OR", "STRING", "WORD", "Token", "is_plain_word", "scan"]

# Named as Dovecot's messages name them.
WORD: Final = "TOKEN"
STRING: Final = "STRING"
AND: Final = "AND"
OR: Final = "OR"
NOT: Final = "NOT"
INVALID: Final = "invalid token"
END: Final = "end of file"

KEYWORDS: Final = frozenset({AND, OR, NOT})
_PUNCTUATION: Final = frozenset("()=<>")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_WORD: Final = re.compile(r"[A-Za-z0-9:.*?/%_-]+")
_STRING_STOP: Final = re.compile(r'["\\]')


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: what Dovecot calls it in a message: `TOKEN`, `STRING`, `AND`, `'='`, `invalid token` and so on.
        text: of a word or string its value, backslashes still in it and quotes gone; of a keyword used as a value its
            value, in lower case; of an unterminated string the quote; otherwise the character itself.
        offset: of its first character in the filter.
    """

    kind: str
    text: str
    offset: int


def scan(text: str) -> Iterator[Token]:
    """Yields the tokens of `text`; the last one has the kind `END`.

    A string without its closing quote swallows the rest of the filter, silently in Dovecot: it shows here as an `END`
    with the text `"` at the offset of that quote.
    """
    offset = 0
    while True:
        offset = _end_of(_SPACE, text, offset)
        if offset == len(text):
            yield Token(END, "", offset)
            return
        char = text[offset]
        stop = offset + 1
        if char in _PUNCTUATION:
            yield Token(f"'{char}'", char, offset)
        elif char == '"':
            closing = _closing_quote(text, stop)
            if closing < 0:
                yield Token(END, char, offset)
                return
            yield Token(STRING, _without_escaped_newlines(text[stop:closing]), offset)
            stop = closing + 1
        elif word := _WORD.match(text, offset):
            yield _word_token(word[0], offset)
            stop = word.end()
        else:
            yield Token(INVALID, char, offset)
        offset = stop


def is_plain_word(text: str) -> bool:
    """Whether `text` can stand in a filter without quotes, as a key or as a value, and mean itself."""
    return _WORD.fullmatch(text) is not None and text.upper() not in KEYWORDS


def _word_token(word: str, offset: int) -> Token:
    keyword = word.upper()
    return Token(keyword, word.lower(), offset) if keyword in KEYWORDS else Token(WORD, word, offset)


def _closing_quote(text: str, offset: int) -> int:
    while stop := _STRING_STOP.search(text, offset):
        if stop[0] == '"':
            return stop.start()
        offset = stop.end() + 1
    return -1


def _without_escaped_newlines(text: str) -> str:
    """Drops a backslash that stands before a line feed; one that is itself escaped stays."""
    if "\\\n" not in text:
        return text
    return re.sub(r"\\(.)", lambda pair: "\n" if pair[1] == "\n" else pair[0], text, flags=re.DOTALL)


def _end_of(pattern: re.Pattern[str], text: str, offset: int) -> int:
    match = pattern.match(text, offset)
    return match.end() if match else offset
