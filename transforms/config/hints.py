"""Suggestions for misspelt names of a configuration.

Dovecot has hundreds of names that event export does not know, and some are like ours. So a name is a near miss only if
nine tenths of both agree, or if one letter was added, left out, replaced or swapped with its neighbour. Another case
and dashes do not count.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from dovebeam.transforms.errors import closest_name

__all__ = ["did_you_mean", "near_miss"]

_MAX_NAME_CHARS: Final = 80
_LIKENESS: Final = 0.9


def near_miss(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or an empty string if none is near."""
    if len(name) > _MAX_NAME_CHARS:
        return ""
    plain = name.lower().replace("-", "_")
    near = closest_name(plain, known)
    return near if near and _is_near(plain, near) else ""


def did_you_mean(name: str) -> str:
    """The question for a suggestion, an empty string without one."""
    return f"did you mean '{name}'?" if name else ""


def _is_near(one: str, other: str) -> bool:
    ratio = difflib.SequenceMatcher(None, other, one).ratio()
    chars = len(one) + len(other)
    has_one_edit = chars * (1 - ratio) < 2.5 and abs(len(one) - len(other)) <= 1  # a replaced letter counts in both
    return ratio >= _LIKENESS or has_one_edit
