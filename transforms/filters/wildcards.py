r"""Text of filters: bytes, escapes and wildcard patterns, and whether two patterns have a text in common.

Rules from Dovecot's event filter language, "Wildcard matching": `*` is any number of bytes, `?` is one byte, `\*`,
`\?` and `\\` are the character itself, any other backslash is a backslash. Case is that of ASCII alone. Matching takes
time linear in pattern length times text length, whatever the pattern: between two stars it suffices to find the
leftmost place of each piece, so nothing has to be tried again; the pieces themselves have a fixed length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

__all__ = [
    "Budget",
    "compile_wildcard",
    "equals_ignoring_case",
    "fold",
    "has_wildcard",
    "may_share_a_text",
    "to_bytes",
    "to_text",
    "unescape",
]


_ESCAPED: Final = re.compile(r"\\(.)?", re.DOTALL)
_RAW_BYTES: Final = re.compile("[\udc80-\udcff]{2,}")
_ESCAPED_OR_WILDCARD: Final = re.compile(r"\\.|([*?])", re.DOTALL)


def to_bytes(text: str) -> bytes:
    """The bytes that `text` stands for; never fails, even for surrogates that no decoder makes."""
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
    """Whether the value `text` contains an unescaped `*` or `?`."""
    return any(match[1] for match in _ESCAPED_OR_WILDCARD.finditer(text))


def equals_ignoring_case(wanted: str) -> Callable[[str], bool]:
    """A test whether a text has the bytes of `wanted`, A-Z counting as a-z."""
    # str.lower() is right for ASCII only: it also folds letters that Dovecot keeps apart, and may change the length.
    if not wanted.isascii():
        folded_bytes = fold(wanted)
        return lambda text: text == wanted or fold(text) == folded_bytes
    if wanted.lower() == wanted.upper():  # without letters, such as a number
        return wanted.__eq__
    folded, length = wanted.lower(), len(wanted)
    return lambda text: text == wanted or (len(text) == length and text.isascii() and text.lower() == folded)


def _byte_or_surrogate(char: str) -> bytes:
    escaped = "\udc80" <= char <= "\udcff"
    return char.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


# Matching of wildcard patterns.

_ITEM: Final = re.compile(rb"\\([*?\\])|([*?])|([^*?\\]+|\\)", re.DOTALL)


class _Piece(NamedTuple):
    """Part of a pattern between two stars: a fixed number of bytes, some of them arbitrary.

    Attributes:
        length: how many bytes it matches.
        literal: these bytes, if none is arbitrary.
        find: the first place in `data[start:end]`, or -1.
    """

    length: int
    literal: bytes | None
    find: Callable[[bytes, int, int], int]


def compile_wildcard(pattern: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """A test whether a whole text matches `pattern`.

    Args:
        pattern: with its backslashes.
        ignore_case: whether A-Z count as a-z; other letters never do.
    """
    # On bytes, because `?` is one byte: a letter of two bytes in UTF-8 needs `??`.
    pieces = [_piece(parts) for parts in _split_at_stars(fold(pattern) if ignore_case else to_bytes(pattern))]
    quick = _quick_test(pieces, ignore_case)
    if quick is not None:
        return quick
    matches = _matcher(pieces)
    if ignore_case:
        return lambda text: matches(fold(text))
    return lambda text: matches(to_bytes(text))


def _quick_test(pieces: list[_Piece], ignore_case: bool) -> Callable[[str], bool] | None:
    """A test on `str` for the frequent patterns without `?` in plain ASCII, or None."""
    literals = [piece.literal for piece in pieces]
    if len(literals) < 2 or any(literal is None or not literal.isascii() for literal in literals):
        return None
    head, *middle, tail = (to_text(literal or b"") for literal in literals)
    wanted = [part for part in middle if part]
    if not (head or tail or wanted):
        return lambda _: True
    # With one literal, places cannot overlap, and methods of str decide.
    if sum(map(bool, (head, tail, *wanted))) > 1:
        return None
    if head:
        return _starts_with(head, ignore_case)
    return _ends_with(tail, ignore_case) if tail else _contains(wanted[0], ignore_case)


def _starts_with(head: str, ignore_case: bool) -> Callable[[str], bool]:
    if not ignore_case:
        return lambda text: text.startswith(head)
    length, equals = len(head), equals_ignoring_case(head)
    return lambda text: equals(text[:length])


def _ends_with(tail: str, ignore_case: bool) -> Callable[[str], bool]:
    if not ignore_case:
        return lambda text: text.endswith(tail)
    length, equals = len(tail), equals_ignoring_case(tail)
    return lambda text: equals(text[-length:])


def _contains(part: str, ignore_case: bool) -> Callable[[str], bool]:
    if not ignore_case:
        return lambda text: part in text
    part_bytes = part.encode()
    return lambda text: part in text.lower() if text.isascii() else part_bytes in fold(text)


def _matcher(pieces: list[_Piece]) -> Callable[[bytes], bool]:
    head, tail = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return lambda data: len(data) == head.length and head.find(data, 0, head.length) == 0
    middle = [piece for piece in pieces[1:-1] if piece.length]
    shortest = sum(piece.length for piece in pieces)

    def matches(data: bytes) -> bool:
        size = len(data)
        if size < shortest or head.find(data, 0, head.length) < 0:
            return False
        # The tail is fixed first; `shortest` makes sure that it does not overlap the head.
        end = size - tail.length
        if tail.find(data, end, size) < 0:
            return False
        start = head.length
        for length, _, find in middle:
            start = find(data, start, end)
            if start < 0:
                return False
            start += length
        return True

    return matches


def _split_at_stars(pattern: bytes) -> Iterator[list[bytes | None]]:
    """The pieces between stars, each a list of literal bytes and None for one arbitrary byte."""
    piece: list[bytes | None] = []
    for escaped, wildcard, plain in _ITEM.findall(pattern):
        if wildcard == b"*":
            yield piece
            piece = []
        else:
            piece.append(None if wildcard else escaped or plain)
    yield piece


def _piece(parts: list[bytes | None]) -> _Piece:
    if None not in parts:
        literal = b"".join(part or b"" for part in parts)
        return _Piece(len(literal), literal, lambda data, start, end: data.find(literal, start, end))
    length = sum(1 if part is None else len(part) for part in parts)
    literals = [index for index, part in enumerate(parts) if part is not None]
    if not literals:
        return _Piece(length, None, lambda _, start, end: start if end - start >= length else -1)
    lead, trail = literals[0], len(parts) - literals[-1] - 1
    # No repetition and no alternatives: at each place this compares at most `length` bytes and never goes back.
    core = b"".join(b"." if part is None else re.escape(part) for part in parts[lead : len(parts) - trail])
    search = re.compile(core, re.DOTALL).search

    def find(data: bytes, start: int, end: int) -> int:
        match = search(data, start + lead, end - trail)
        return match.start() - lead if match else -1

    return _Piece(length, None, find)


# Intersection of wildcard patterns.

_CHARS: Final = re.compile(rb"\\([*?\\])|(.)", re.DOTALL)
_STAR: Final = -1
_ANY_BYTE: Final = -2


class Budget:
    """Steps that the analysis of one filter may still take; what lies beyond them counts as possible."""

    # Less than a second: a hostile filter has many long patterns, and each pair of them costs the product of lengths.
    def __init__(self, steps: int = 2_000_000) -> None:
        self._left = steps

    def take(self, steps: int) -> bool:
        """Takes steps; False if there are not so many left."""
        self._left -= steps
        return self._left >= 0


def may_share_a_text(one: str, other: str, budget: Budget) -> bool:
    """Whether some text matches both patterns; also True where finding out takes more steps than are left."""
    left, right = _items(one), _items(other)
    if not budget.take(len(left) * len(right)):
        return True
    # reachable[j]: some text is matched by the items read of `left` and by the first j of `right`.
    reachable = [True, *[False] * len(right)]
    _skip_stars(reachable, right)
    for item in left:
        following = [reachable[0] and item == _STAR]
        for j, opposite in enumerate(right):
            if item == _STAR:
                # The star takes no byte, or the byte that `opposite` takes.
                possible = reachable[j + 1] or following[j]
            elif opposite == _STAR:
                possible = reachable[j + 1] or following[j]
            else:
                possible = reachable[j] and (item == opposite or _ANY_BYTE in (item, opposite))
            following.append(possible)
        reachable = following
    return reachable[-1]


def _skip_stars(reachable: list[bool], items: list[int]) -> None:
    for j, item in enumerate(items):
        reachable[j + 1] = reachable[j] and item == _STAR


def _items(pattern: str) -> list[int]:
    """Bytes, `_STAR` and `_ANY_BYTE`; a backslash that escapes nothing is a byte."""
    wildcards = {b"*": _STAR, b"?": _ANY_BYTE}
    return [
        escaped[0] if escaped else wildcards.get(plain, plain[0])
        for escaped, plain in _CHARS.findall(to_bytes(pattern))
    ]
