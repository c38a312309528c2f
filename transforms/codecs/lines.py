"""Blocks of lines, decoded: the events, the lines that are none, and where each stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event

__all__ = ["BadLine", "DecodedBlock", "decode_one_by_one", "line_starts"]


class BadLine(NamedTuple):
    """A line of a block that is not an event: its bytes, their offset in the block, and why."""

    offset: int
    line: bytes
    error: DecodeError


class DecodedBlock:
    """The events of a block in order, and apart from them the lines that are none.

    Attributes:
        events: in the order of their lines.
        bad_lines: in the order of the block.
    """

    __slots__ = ("_offsets", "bad_lines", "events")

    def __init__(
        self, events: Sequence[Event], bad_lines: Sequence[BadLine], offsets: Callable[[], Sequence[int]]
    ) -> None:
        self.events = events
        self.bad_lines = bad_lines
        self._offsets = offsets

    def offsets(self) -> Sequence[int]:
        """The offset in the block of the line of each event; found anew at each call."""
        return self._offsets()


def line_starts(block: bytes, borders: Sequence[int]) -> list[int]:
    """Where the lines of a block begin whose LFs are at `borders` once every CRLF is an LF."""
    if 0x0D not in block:
        return [0, *(border + 1 for border in borders)]
    lengths = (len(line) + 1 for line in block.removesuffix(b"\n").split(b"\n"))
    return list(accumulate(lengths, initial=0))[:-1]


def decode_one_by_one(block: bytes, decode: Callable[[bytes], Event]) -> DecodedBlock:
    """What `decode` makes of each line of a block (LF or CRLF); blank lines are passed over."""
    events: list[Event] = []
    offsets: list[int] = []
    bad_lines: list[BadLine] = []
    offset = 0
    for whole in block.split(b"\n"):
        line = whole.removesuffix(b"\r")
        if line.strip(b" \t\r"):
            try:
                events.append(decode(line))
                offsets.append(offset)
            except DecodeError as error:
                bad_lines.append(BadLine(offset, line, error))
        offset += len(whole) + 1
    return DecodedBlock(events, bad_lines, lambda: offsets)
