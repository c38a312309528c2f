"""The codes of strftime that a path may have, and why it may not have the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["CODES", "coarsest_step_secs", "code_problem"]

CODES: Final[Mapping[str, Callable[[dt.datetime], str]]] = MappingProxyType(
    {
        "Y": lambda time: f"{time.year:04d}",
        "m": lambda time: f"{time.month:02d}",
        "d": lambda time: f"{time.day:02d}",
        "j": lambda time: f"{time.timetuple().tm_yday:03d}",
        "H": lambda time: f"{time.hour:02d}",
        "M": lambda time: f"{time.minute:02d}",
        "S": lambda time: f"{time.second:02d}",
        "G": lambda time: f"{time.isocalendar().year:04d}",
        "V": lambda time: f"{time.isocalendar().week:02d}",
        "u": lambda time: str(time.isoweekday()),
    }
)
"""What each code writes; the same as strftime, but with four digits for every year."""

_WORDS: Final = MappingProxyType(
    {
        "Y": "year", "m": "month", "d": "day of the month", "j": "day of the year", "H": "hour", "M": "minute",
        "S": "second", "G": "year of the week", "V": "week", "u": "day of the week",
    }
)  # fmt: skip
_NEEDS: Final = MappingProxyType(
    {"m": "Y", "d": "m", "j": "Y", "H": "dju", "M": "H", "S": "M", "G": "V", "V": "G", "u": "V"}
)
_REFUSED: Final = MappingProxyType(
    {
        "D": "%D has slashes and two digits of the year; write %Y/%m/%d, or %j for the day of the year",
        "F": "%F is not known; write %Y-%m-%d",
        "I": "%I counts the hours to twelve, so one name means two hours; write %H",
        "T": "%T has colons; write %H%M%S",
        "s": "seconds since 1970 are no name of a time; write %Y%m%dT%H%M%S",
        "y": "%y has two digits of the year; write %Y",
        **dict.fromkeys("UWC", "weeks and centuries counted this way are ambiguous; write %G and %V, or %Y"),
        **dict.fromkeys("aAbBhcpPrxX", "it depends on a language; write numbers, such as %Y-%m-%d"),
        **dict.fromkeys("zZ", "times are in UTC, which no name needs to say; leave it out"),
        **dict.fromkeys("ekl", "it has spaces in it; write %d or %H"),
    }
)
_STEPS_SECS: Final = MappingProxyType({"S": 1, "M": 60, "H": 3600})
_DAY_SECS: Final = 86_400


def code_problem(letter: str, letters: frozenset[str]) -> str:
    """Why a code cannot stand in a template, or an empty string.

    Args:
        letter: of the code; empty at the end of the template.
        letters: of all codes in the template.
    """
    if letter not in CODES:
        known = f"there are {', '.join(f'%{each}' for each in CODES)}, and %% for a percent sign"
        return _REFUSED.get(letter, f"'%{letter}' is no code for a time; {known}")
    needed = _NEEDS.get(letter, "")
    if needed and not letters & frozenset(needed):
        other = needed[0]
        return f"%{letter} is the {_WORDS[letter]}, which needs %{other}, the {_WORDS[other]}, to be told from others"
    return ""


def coarsest_step_secs(letters: frozenset[str]) -> int:
    """How long a time stays the same with these codes; aligned to midnight UTC."""
    return min((_STEPS_SECS.get(letter, _DAY_SECS) for letter in letters), default=_DAY_SECS)
