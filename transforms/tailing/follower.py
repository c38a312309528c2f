"""Follows files: what is there, what is new, what was renamed, copied, emptied or removed, and the lines that came.

The rules, in the order in which they apply to a file:

- A file whose inode is known goes on where it was read up to, whatever it is called now. If its end was cut off, it
  goes on at the new end; if something else is in its place, that is read from its start, and a copy of what was there
  is read on from where the original was read up to.
- A copy of a file that is still there waits: its lines come from the original. Once that was read as far as the copy
  reaches, the copy counts as read; if the original is emptied before, the rest comes from the copy.
- Any other file is new and read from its start.

A piece of a line waits for the rest. It is a line by itself only after the file lost its name and was quiet for
a while. A file that is gone is read to its end as long as it is open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.tailing.inputs import Inputs, Seen
from dovebeam.transforms.tailing.marks import Position
from dovebeam.transforms.tailing.stock import Stock
from dovebeam.transforms.tailing.tail import Tail, TailSettings
from dovebeam.transforms.sources import Block, InputFormat

__all__ = ["Follower"]

_PIECE_BYTES: Final = 256 * 1024  # of one file, before it is another one's turn
_SURVEY_SECS: Final = 0.5
_GRACE_SECS: Final = 3.0
_MAX_OPEN: Final = 128


class Follower:
    """Reads what is appended to files.

    Args:
        names: files, patterns and directories, see `Inputs`.
        input_format: what the lines are, or "auto" to tell it for each file.
        max_line_bytes: the longest line that is read whole.
        survey_secs: how often to look for new and renamed files.
        grace_secs: how long a renamed file must be quiet until a last line without an end is taken for a whole one.

    Raises:
        SourceError: a name that cannot be followed.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        input_format: InputFormat = "auto",
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        survey_secs: float = _SURVEY_SECS,
        grace_secs: float = _GRACE_SECS,
    ) -> None:
        self._inputs: Final = Inputs(names)
        self._settings: Final = TailSettings(input_format, max_line_bytes, _PIECE_BYTES)
        self._survey_secs: Final = survey_secs
        self._grace_secs: Final = grace_secs
        self._stock = Stock(self._settings, Position(), time.monotonic())
        self._next_survey = 0.0
        self._served = 0

    def position(self) -> Position:
        """How far everything was read."""
        return self._stock.position()

    def seek(self, position: Position) -> None:
        """Goes on at a position, which need not be its own."""
        if position != self.position():
            self.close()
            self._stock = Stock(self._settings, position, time.monotonic())
            self._next_survey = 0.0

    def close(self) -> None:
        """Closes all files."""
        for tail in self._stock.tails.values():
            tail.close()

    def read(self) -> Iterator[list[Block]]:
        """One round: of each file that has new lines some of them, after which `position` is behind them.

        Raises:
            SourceError: a file or a directory cannot be read.
        """
        now = time.monotonic()
        if now >= self._next_survey:
            self._stock.take(self._inputs.survey(), now)
            self._next_survey = now + self._survey_secs
        for tail in sorted(self._stock.tails.values(), key=self._turn):
            if self._stock.is_readable(tail, self._inputs.survey, now):
                final = tail.mark.moved and now - tail.quiet_since >= self._grace_secs
                blocks = tail.read(final=final)
                if blocks:
                    self._served += 1
                    tail.served = self._served
                    yield blocks
        self._close_some()

    def _turn(self, tail: Tail) -> tuple[int, bool, int]:
        """Who waited longest comes first; at the start, files without their names, then older ones."""
        seen: Seen | None = self._stock.seen.get(tail.mark.key)
        return tail.served, not tail.mark.moved, seen.changed if seen else 0

    def _close_some(self) -> None:
        """Keeps no more files open than it may: those that grew last."""
        opened = [tail for tail in self._stock.tails.values() if tail.is_open]
        if len(opened) > _MAX_OPEN:
            for tail in sorted(opened, key=lambda tail: tail.quiet_since)[:-_MAX_OPEN]:
                tail.close()
