"""The types of setting values: texts to bool, int and milliseconds, with Dovecot's limits and messages.

Rules from Dovecot's configuration language, section "Value types". Each parser raises `ValueTypeError` with the text
that Dovecot prints after the setting's name, and with advice of our own.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Final

__all__ = [
    "UINT64_MAX",
    "UINT_MAX",
    "Kind",
    "ValueTypeError",
    "parse_bool",
    "parse_enum",
    "parse_size",
    "parse_time_msec",
    "parse_time_sec",
    "parse_uint",
    "parse_uint64",
]

UINT_MAX: Final = 2**32 - 1
UINT64_MAX: Final = 2**64 - 1
_MAX_DIGITS: Final = 30  # far above every limit, far below what makes int() slow

_TIME = re.compile(r"([0-9]+) *([A-Za-z]*)\Z")
_SIZE = re.compile(r"([0-9]+) *(?:([KMGT])I?B?|B)?\Z", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]+\Z")

# Where a prefix fits two rows the earlier one wins, so minutes stand before milliseconds.
_TIME_UNITS: Final = (
    (1000, ("secs", "seconds")),
    (60_000, ("mins", "minutes")),
    (1, ("msecs", "mseconds", "millisecs", "milliseconds")),
    (3_600_000, ("hours",)),
    (86_400_000, ("days",)),
    (604_800_000, ("weeks",)),
)
_SIZE_FACTORS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_ENDLESS: Final = frozenset({"infinite", "unlimited"})


class Kind(enum.Enum):
    """The type of a setting."""

    STRING = "string"
    NAME = "string, by default the name of its block"
    FILE = "path of a file, relative to the configuration file"
    ENUM = "one of a few words"
    BOOL = "yes or no"
    UINT = "number"
    UINT64 = "64-bit number"
    TIME = "time"
    TIME_SECS = "time in whole seconds"
    SIZE = "size"
    BOOL_LIST = "list"
    TEXT_LIST = "block of lines NAME = VALUE"


class ValueTypeError(Exception):
    """A value that isn't of its setting's type.

    Attributes:
        message: what Dovecot prints.
        advice: what to write, as the continuation of our own message.
    """

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message, advice)
        self.message = message
        self.advice = advice


def parse_bool(text: str) -> bool:
    """`yes`, `y`, `1` or `no`, letters in any case; nothing else is a boolean in Dovecot."""
    lowered = text.lower()
    if lowered in {"yes", "y", "1"}:
        return True
    if lowered == "no":
        return False
    raise ValueTypeError(f"Invalid boolean value: {text} (use yes or no)", "write yes or no")


def parse_uint(text: str) -> int:
    """A number up to 2**32 - 1, which is also what `unlimited` and `infinite` mean."""
    return UINT_MAX if text in _ENDLESS else _number(text, UINT_MAX)


def parse_uint64(text: str) -> int:
    """A number up to 2**64 - 1."""
    return _number(text, UINT64_MAX)


def parse_time_msec(text: str) -> int | None:
    """A time in milliseconds, at most 2**32 - 1 of them; `None` for `infinite` and `unlimited`."""
    return None if text in _ENDLESS else _milliseconds(text, UINT_MAX)


def parse_time_sec(text: str) -> int | None:
    """A time of whole seconds, returned in milliseconds; `None` for `infinite` and `unlimited`."""
    if text in _ENDLESS:
        return None
    msec = _milliseconds(text, UINT_MAX * 1000)
    if msec % 1000:
        raise ValueTypeError(f"Milliseconds not supported for this setting: {text}", "write whole seconds")
    return msec


def parse_size(text: str) -> int | None:
    """A size in bytes, units are powers of 1024; `None` for `infinite` and `unlimited`."""
    if text in _ENDLESS:
        return None
    found = _SIZE.match(text)
    if found is None:
        raise ValueTypeError(f"Invalid size: {text}", "write a number of bytes, or a number with k, M, G or T")
    number = _int(found[1])
    if number > UINT64_MAX:
        raise ValueTypeError(f"Invalid size: {text}", f"the limit is {UINT64_MAX} bytes")
    size = number << _SIZE_FACTORS[(found[2] or "").lower()]
    if size > UINT64_MAX:
        raise ValueTypeError(f"Size is too large: {text}", f"the limit is {UINT64_MAX} bytes")
    return size


def parse_enum(text: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, exactly as written there."""
    if text not in choices:
        raise ValueTypeError(f"Invalid value: {text}", f"write one of: {', '.join(choices)}")
    return text


def _number(text: str, limit: int) -> int:
    if _NUMBER.match(text) is None:
        reason = "Number too small" if re.match(r"-[0-9]+\Z", text) else "Not a valid number"
        raise ValueTypeError(f"Invalid number {text}: {reason}", f"write digits only, a number from 0 to {limit}")
    number = _int(text)
    if number > limit:
        raise ValueTypeError(f"Invalid number {text}: Number too large", f"the limit is {limit}")
    return number


def _milliseconds(text: str, limit: int) -> int:
    found = _TIME.match(text)
    if found is None:
        raise ValueTypeError(f"Invalid time interval: {text}", "write a number and a unit, such as 250ms, 2s or 1 min")
    number, unit = _int(found[1]), found[2].lower()
    if number > UINT64_MAX:
        raise ValueTypeError(f"Invalid time interval: {text}", f"the limit is {limit} milliseconds")
    if not unit:
        if number == 0:
            return 0
        raise ValueTypeError(
            f"Time interval '{text}' is missing units (add e.g. 's' for seconds)",
            f"add a unit: {found[1]}ms, {found[1]}s or {found[1]}min",
        )
    factor = next(_factors_of(unit), None)
    if factor is None:
        raise ValueTypeError(f"Invalid time interval: {text}", "units are ms, s, min, h, d and w")
    if number * factor > limit:
        raise ValueTypeError(f"Time interval is too large: {text}", f"the limit is {limit} milliseconds")
    return number * factor


def _factors_of(unit: str) -> Iterator[int]:
    for factor, words in _TIME_UNITS:
        if any(word.startswith(unit) for word in words):
            yield factor


def _int(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant[:_MAX_DIGITS] or "0")
