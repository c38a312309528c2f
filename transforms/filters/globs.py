"""Whether two wildcard patterns have a text in common."""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.filters.text import to_bytes

__all__ = ["Budget", "may_share_a_text"]

_CHARS: Final = re.compile(rb"\\([*?\\])|(.)", re.DOTALL)
_STAR: Final = -1
_ANY_BYTE: Final = -2


class Budget:
    """How many steps may still be taken for one filter; what is beyond them counts as possible."""

    def __init__(self, steps: int = 2_000_000) -> None:
        self._left = steps

    def take(self, steps: int) -> bool:
        """Takes steps; False if there are not so many left."""
        self._left -= steps
        return self._left >= 0


def may_share_a_text(one: str, other: str, budget: Budget) -> bool:
    """Whether some text matches both patterns; True also where that takes more steps than there are."""
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
