"""Sizes and intervals: `10MB`, `5 minutes`.

Rules from Dovecot's event filter language, "Sizes" and "Intervals": digits, spaces, a unit in any case, nothing after.
"""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN

__all__ = ["INTERVAL_UNITS_MSEC", "MAX_INTERVAL_MSEC", "SIZE_UNITS", "parse_integer", "parse_interval", "parse_size"]

_UINT64_MAX: Final = 2**64 - 1
MAX_INTERVAL_MSEC: Final = 2**32 - 1
_INTEGER: Final = re.compile(r"(-?)([0-9]+)")
_AMOUNT: Final = re.compile(r"([0-9]+) *([A-Za-z]*)")

SIZE_UNITS: Final[dict[str, int]] = {"": 1, "b": 1} | {
    letter + rest: 1024**power for power, letter in enumerate("kmgt", 1) for rest in ("", "i", "b", "ib")
}


def _prefixes(words: str, shortest: int) -> set[str]:
    return {word[:length] for word in words.split() for length in range(shortest, len(word) + 1)}


INTERVAL_UNITS_MSEC: Final[dict[str, int]] = {
    spelling: msec
    for words, shortest, msec in (
        ("msecs mseconds", 2, 1),
        ("millisecs milliseconds", 3, 1),
        ("secs seconds", 1, 1_000),
        ("mins minutes", 3, 60_000),
        ("hours", 1, 3_600_000),
        ("days", 1, 86_400_000),
        ("weeks", 1, 604_800_000),
    )
    for spelling in _prefixes(words, shortest)
}


def parse_integer(text: str) -> int | None:
    """A signed 64-bit decimal number, leading zeros allowed, or None."""
    match = _INTEGER.fullmatch(text)
    amount = None if match is None else _bounded(match[2])
    if match is None or amount is None:
        return None
    number = -amount if match[1] else amount
    return number if INT64_MIN <= number <= INT64_MAX else None


def parse_size(text: str) -> int | None:
    """Bytes, up to 2^64 - 1, or None if `text` is not a size. `M` alone counts as megabytes here."""
    amount, factor = _split(text, SIZE_UNITS)
    if amount is None or factor is None or amount * factor > _UINT64_MAX:
        return None
    return amount * factor


def parse_interval(text: str) -> int | None:
    """Microseconds, or None if `text` is not an interval or is more than 2^32 - 1 milliseconds."""
    amount, msec = _split(text, INTERVAL_UNITS_MSEC)
    if amount is None or msec is None or amount * msec > MAX_INTERVAL_MSEC:
        return None
    return amount * msec * 1_000


def _split(text: str, units: dict[str, int]) -> tuple[int | None, int | None]:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None, None
    return _bounded(match[1]), units.get(match[2].lower())


def _bounded(digits: str) -> int | None:
    """The number, or None if it needs more than 64 bits; without Python's limit on the length of a number's text."""
    digits = digits.lstrip("0")
    if len(digits) > 20:
        return None
    number = int(digits or "0")
    return number if number <= _UINT64_MAX else None
