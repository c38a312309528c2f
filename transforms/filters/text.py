"""Text as Dovecot sees it: bytes. Folding of A-Z only, escapes, and equality that ignores ASCII case.

Dovebeam keeps text as `str` with bytes that are not UTF-8 as surrogate escapes (PEP 383). `str.lower` and its friends
fold far more than Dovecot does (the Kelvin sign becomes a `k`), so they are only used on text known to be ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["equals_ignoring_case", "fold", "has_wildcard", "to_bytes", "to_text", "unescape"]

_ESCAPED: Final = re.compile(r"\\(.)?", re.DOTALL)
_RAW_BYTES: Final = re.compile("[\udc80-\udcff]{2,}")
_ESCAPED_OR_WILDCARD: Final = re.compile(r"\\.|([*?])", re.DOTALL)


def to_bytes(text: str) -> bytes:
    """The bytes that `text` stands for; total, even for surrogates that no decoder makes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(_byte_or_surrogate(char) for char in text)


def to_text(data: bytes) -> str:
    """The inverse of `to_bytes`."""
    return data.decode("utf-8", "surrogateescape")


def fold(text: str) -> bytes:
    """The bytes of `text` with A-Z turned into a-z."""
    return to_bytes(text).lower()


def unescape(text: str) -> str:
    """Removes each backslash and keeps the character after it, whatever it is."""
    if "\\" not in text:
        return text
    plain = _ESCAPED.sub(lambda pair: pair[1] or "", text)
    # A backslash may have kept the bytes of one character apart; without it they are that character.
    return plain if plain.isascii() else _RAW_BYTES.sub(lambda run: to_text(to_bytes(run[0])), plain)


def has_wildcard(text: str) -> bool:
    """Whether the value `text` contains a `*` or `?` that no backslash takes away."""
    return any(match[1] for match in _ESCAPED_OR_WILDCARD.finditer(text))


def equals_ignoring_case(wanted: str) -> Callable[[str], bool]:
    """A test whether a text has the bytes of `wanted`, A-Z counting as a-z."""
    if not wanted.isascii():
        folded_bytes = fold(wanted)
        return lambda text: text == wanted or fold(text) == folded_bytes
    if wanted.lower() == wanted.upper():
        return wanted.__eq__
    folded, length = wanted.lower(), len(wanted)
    return lambda text: text == wanted or (len(text) == length and text.isascii() and text.lower() == folded)


def _byte_or_surrogate(char: str) -> bytes:
    escaped = "\udc80" <= char <= "\udcff"
    return char.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")
