"""Suggestions for misspelt names.

A name counts as a near miss if one or two edits (a letter added, left out, replaced, or two neighbours swapped) or
another case of its letters lead to a known one. Short names allow
one edit, very short ones none, so that two real names never meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["did_you_mean", "near_miss"]

_MAX_NAME_CHARS: Final = 80
_CHARS_FOR_EDITS: Final = (3, 6)  # so long a name must be for one edit, and for two


def near_miss(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or an empty string if none is near."""
    if not name or len(name) > _MAX_NAME_CHARS:
        return ""
    best, best_distance = "", 3
    lowered = name.lower().replace("-", "_")
    letters = frozenset(lowered)
    for candidate in known:
        limit = sum(len(candidate) >= chars for chars in _CHARS_FOR_EDITS)
        if abs(len(candidate) - len(lowered)) > limit or len(letters ^ _letters(candidate)) > 2 * limit:
            continue  # an edit exchanges one letter for another at most
        distance = 0 if lowered == candidate else _distance(lowered, candidate)
        if distance <= limit and distance < best_distance:
            best, best_distance = candidate, distance
    return best


def did_you_mean(name: str) -> str:
    """The question for a suggestion, an empty string without one."""
    return f"did you mean '{name}'?" if name else ""


@lru_cache(maxsize=2000)
def _letters(name: str) -> frozenset[str]:
    return frozenset(name)


def _distance(one: str, other: str) -> int:
    """Number of edits, where swapping two neighbours is one edit."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
