"""Cuts a stream to pieces that end at line borders, at any place from which one starts to read.

The file is thought of as cells of equal size. A line belongs to the cell that holds its first byte, however far it
reaches, so that readers which share the cells of a file among them read each line exactly once. All lines of one cell
are one piece: the pieces of a file are the same however its cells are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from dovebeam.transforms.sources.block import OVERLONG_HEAD_BYTES
from dovebeam.transforms.sources.errors import SourceError
from dovebeam.transforms.sources.streams import ByteStream, FileStream

__all__ = ["LineReader", "Lines", "read_lines", "reader_from"]

_MARK: Final = b"\xef\xbb\xbf"  # U+FEFF in UTF-8, which editors on Windows put before a text
_READ_BYTES: Final = 64 * 1024  # small enough to be memory that was used before; larger reads were slower


class Lines(NamedTuple):
    """Whole lines, or the head of one over-long line; see `Block`."""

    offset: int
    data: bytes
    overlong_bytes: int = 0


class LineReader:
    """Reads lines from front to back, in memory of the order of the longest line that is allowed.

    Attributes:
        offset: of the next byte that was not returned yet; a line border, except at the very start.
    """

    def __init__(self, stream: ByteStream, offset: int, max_line_bytes: int, read_bytes: int = _READ_BYTES) -> None:
        self._stream = stream
        self._max_line_bytes = max_line_bytes
        self._read_bytes = read_bytes
        self._buffer = b""
        self._position = 0
        self.offset = offset

    def at_end(self) -> bool:
        """Whether no byte is left."""
        return self._position == len(self._buffer) and not self._fill()

    def skip_mark(self) -> None:
        """Passes over a byte order mark at the begin of a file, which is no part of its first line."""
        while len(self._buffer) < len(_MARK) and self._fill():
            pass
        if self._buffer.startswith(_MARK):
            self._advance(len(_MARK))

    def skip_line(self, limit: int) -> None:
        """Passes over the rest of the line in whose midst the reader stands, but not far beyond the offset `limit`.

        No more than the reader's own share is read, so that a file that is one endless line is not read to its end by
        each of many readers.
        """
        while not self.at_end():
            end = self._buffer.find(b"\n", self._position)
            self._advance((end + 1 or len(self._buffer)) - self._position)
            if end >= 0 or self.offset >= limit:
                return

    def take(self, limit: int) -> Iterator[Lines]:
        """All lines that begin before the offset `limit`, which lies beyond the reader's own."""
        last = limit - 1 - self.offset  # a line that begins behind this byte begins at or beyond the limit
        while len(self._buffer) - self._position <= last and self._fill():
            pass
        searched = self._position + last
        while (end := self._buffer.find(b"\n", searched)) < 0:
            start = self._buffer.rfind(b"\n", self._position, self._position + last) + 1 or self._position
            if len(self._buffer) - start > self._max_line_bytes + 1:  # one more may be the CR of its end
                yield from self._pop_lines(start)
                yield self._pop_overlong()
                return
            searched = len(self._buffer) - self._position  # an index in the buffer that reading on leaves
            if not self._fill():
                break
        yield from self._pop_lines(end + 1 or len(self._buffer))

    def _fill(self) -> bool:
        """Reads on; each time as much as is there already, so that a long line is copied few times."""
        rest = self._buffer[self._position :]
        data = self._stream.read(max(self._read_bytes, len(rest)))
        self._buffer, self._position = rest + data, 0
        return bool(data)

    def _advance(self, count: int) -> None:
        self._position += count
        self.offset += count

    def _pop_lines(self, end: int) -> Iterator[Lines]:
        """What stands before the index `end` of the buffer, which is a line border."""
        offset, data = self.offset, self._buffer[self._position : end]
        self._advance(len(data))
        if len(data) <= self._max_line_bytes:
            if data:
                yield Lines(offset, data)
        else:
            yield from _set_overlong_apart(offset, data, self._max_line_bytes)

    def _pop_overlong(self) -> Lines:
        """The line at the reader's position, of which only the head is kept."""
        offset, head, length, last = self.offset, b"", 0, b""
        while not self.at_end():
            newline = self._buffer.find(b"\n", self._position)
            end = newline if newline >= 0 else len(self._buffer)
            head += self._buffer[self._position : min(end, self._position + OVERLONG_HEAD_BYTES - len(head))]
            last = self._buffer[end - 1 : end] if end > self._position else last
            length += end - self._position
            self._advance(end - self._position + (newline >= 0))
            if newline >= 0:
                break
        length -= last == b"\r"
        return Lines(offset, head[:length], length)


def reader_from(stream: FileStream, start: int, stop: int, max_line_bytes: int) -> LineReader:
    """A reader at the first line of a file that begins at the offset `start` or behind it.

    Where no line begins before `stop`, the reader stands anywhere at or behind `stop`, or at the end of the file.
    """
    if not start:
        return LineReader(stream, 0, max_line_bytes)
    # Only the byte before tells whether a line begins at the very start.
    if start > 1:
        stream.seek(start - 1)
    reader = LineReader(stream, start - 1, max_line_bytes)
    reader.skip_line(stop)
    return reader


def read_lines(
    reader: LineReader, *, cell_bytes: int, claim: Callable[[int], bool], uri: str, size: int | None = None
) -> Iterator[Lines]:
    """The lines of all cells that `claim` grants, from the reader's position on.

    Args:
        reader: stands at a line border.
        cell_bytes: size of a cell, more than the 3 of a byte order mark.
        claim: called with the number of each cell in which a line begins, in rising order, before it is read; reading
            ends where it says no. At the end of `size` it is called with the number of cells.
        uri: the file, for errors.
        size: of the file when it was found; lines that were appended since are not read. None if it is not known.

    Raises:
        SourceError: if the file ends before `size`, or as reading the stream raises it.
    """
    if not reader.offset:
        reader.skip_mark()
    while size is None or reader.offset < size:
        if reader.at_end():
            if size is not None:
                raise SourceError(
                    f"the file ends here, but had {size} bytes when the job began; it must not be truncated or "
                    "replaced while it is read",
                    uri,
                    reader.offset,
                )
            return
        cell = reader.offset // cell_bytes
        if not claim(cell):
            return
        limit = (cell + 1) * cell_bytes
        yield from reader.take(limit if size is None else min(limit, size))
    claim(-(-size // cell_bytes))


def _set_overlong_apart(offset: int, data: bytes, max_line_bytes: int) -> Iterator[Lines]:
    kept = start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        content_end = end - data.endswith(b"\n", start, end)
        length = content_end - data.endswith(b"\r", start, content_end) - start
        if length > max_line_bytes:
            if start > kept:
                yield Lines(offset + kept, data[kept:start])
            yield Lines(offset + start, data[start : start + min(length, OVERLONG_HEAD_BYTES)], length)
            kept = end
        start = end
    if kept < len(data):
        yield Lines(offset + kept, data[kept:])
