"""Where a filter stops to parse, and what would repair it: what the parser, the hints and the rewrites share."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dovebeam.transforms.filters.tokens import Token

__all__ = ["Mistake", "Place", "Rewrite"]

Place = Literal["start", "operand", "operator", "value", "end of group", "end"]


class Rewrite(NamedTuple):
    """`text` replaces the characters from `start` up to `end` of the filter; `reason` says what is wrong with them."""

    start: int
    end: int
    text: str
    reason: str


class Mistake(NamedTuple):
    """Where a filter stops to parse.

    Attributes:
        text: the whole filter.
        token: the first token that does not fit.
        place: what could have stood there.
        opened: offset of the parenthesis that is still open, or None.
        key: the key that was read last, or None; of the comparison that is broken, or that stands before `token`.
        operator: the operator after it, empty if there is none yet.
        value: the value after that, None if there is none yet.
    """

    text: str
    token: Token
    place: Place
    opened: int | None = None
    key: Token | None = None
    operator: str = ""
    value: Token | None = None
