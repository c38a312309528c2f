"""Cuts a stream to pieces that end at line borders, from any offset on.

The file is divided into cells of equal size. A line belongs to the cell that holds its first byte, however long it is,
so that readers which share the cells of a file read each line exactly once. All lines of one cell are one piece: the
pieces of a file are the same however its cells are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from dovebeam.transforms.sources.block import BYTE_ORDER_MARK, OVERLONG_HEAD_BYTES, Block, Format
from dovebeam.transforms.sources.streams import (
    LINE_END,
    LOOK_AHEAD_BYTES,
    NUL,
    TORN,
    ByteStream,
    DamagedError,
    FileStream,
    end_of_nuls,
    is_border,
)

__all__ = ["LineReader", "Lines", "block_of", "block_of_damage", "read_lines", "reader_from"]


class Lines(NamedTuple):
    """Whole lines, or the head of one overlong line; see `Block`.

    Attributes:
        offset: of `data` in the file.
        data: empty if the zero bytes are followed by nothing.
        overlong_bytes: see `Block`.
        nuls: number of zero bytes that were skipped before `data`.
        torn: whether zero bytes stand where the end of this line should be.
    """

    offset: int
    data: bytes
    overlong_bytes: int = 0
    nuls: int = 0
    torn: bool = False


def block_of(lines: Lines, uri: str, format_: Format, *, only_format: bool = False) -> Block:
    """The block of a piece.

    Args:
        lines: the piece.
        uri: of the source.
        format_: of the lines.
        only_format: see `Block`.
    """
    # A torn line of JSON fails to decode unless it is whole; one of tab-text would pass as an event with fewer fields.
    data, torn = lines.data or b"\n", lines.torn and format_ == "tab-text"
    return Block(
        uri,
        lines.offset,
        data,
        format_,
        lines.overlong_bytes,
        records=int(torn),
        damage=TORN if torn else "",
        nuls=lines.nuls,
        only_format=only_format,
    )


def block_of_damage(error: DamagedError, uri: str, format_: Format) -> Block:
    """The block that stands for the unreadable rest of a file."""
    place = "" if error.offset is None else f" (noticed at byte {error.offset} of the file)"
    return Block(uri, error.content_offset, error.rest, format_, records=1, damage=f"{error.message}{place}")


def joined(pieces: Iterable[Lines]) -> Iterator[Lines]:
    """The pieces, with neighbours united that are whole lines without zero bytes between them."""
    parts: list[Lines] = []
    for each in pieces:
        if parts and (each.nuls or each.torn or each.overlong_bytes):
            yield parts[0]._replace(data=b"".join(part.data for part in parts))
            parts = []
        if each.torn or each.overlong_bytes:
            yield each
        else:
            parts.append(each)
    if parts:
        yield parts[0]._replace(data=b"".join(part.data for part in parts))


def set_overlong_apart(offset: int, data: bytes, max_line_bytes: int) -> Iterator[Lines]:
    """Pieces of whole lines, with each overlong line in a piece of its own.

    Args:
        offset: of the data in the file.
        data: whole lines.
        max_line_bytes: longest line that is allowed.
    """
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


_READ_BYTES: Final = 64 * 1024  # small enough to be memory that was used before; larger reads were slower


class LineReader:
    """Reads lines from front to back, in memory proportional to the longest line that is allowed.

    Attributes:
        offset: of the next byte to be returned; a line border, except at the very start.
        damage: why nothing from some place on can be read; None while there is no damage.
        start: offset of the first line that this reader may return.
    """

    def __init__(self, stream: ByteStream, offset: int, max_line_bytes: int, read_bytes: int = _READ_BYTES) -> None:
        self._stream = stream
        self._max_line_bytes = max_line_bytes
        self._read_bytes = read_bytes
        self._buffer = b""
        self._position = 0
        self.offset = offset
        self.damage: DamagedError | None = None
        self.start = offset

    def at_end(self) -> bool:
        """Whether the end of the stream is reached."""
        return self._position == len(self._buffer) and not self._fill()

    def skip_mark(self) -> None:
        """Skips a byte order mark at the start of a file, which is not part of its first line."""
        while len(self._buffer) < len(BYTE_ORDER_MARK) and self._fill():
            pass
        if self._buffer.startswith(BYTE_ORDER_MARK):
            self._advance(len(BYTE_ORDER_MARK))

    def skip_line(self, limit: int) -> None:
        """Skips the rest of the line in which the reader stands, but not far beyond the offset `limit`."""
        # With the limit, a file that is one endless line is not read to its end by each of many readers.
        while not self.at_end():
            end = self._buffer.find(b"\n", self._position)
            self._advance((end + 1 or len(self._buffer)) - self._position)
            if end >= 0 or self.offset >= limit:
                return

    def take(self, limit: int) -> Iterator[Lines]:
        """All lines that begin before the offset `limit`, which is greater than `offset`."""
        # A line feed at or after this byte ends the last line: the next one begins at the limit or beyond it.
        last = limit - 1 - self.offset
        while len(self._buffer) - self._position <= last and self._fill():
            pass
        searched = self._position + last
        # Few files have zero bytes, so lines are taken in one slice up to a border, and one by one only with them.
        found = self._buffer.find(NUL, self._position)
        while found < 0 and (end := self._buffer.find(b"\n", searched)) < 0:
            start = self._buffer.rfind(b"\n", self._position, self._position + last) + 1 or self._position
            # The last line is overlong already, so its rest is not kept. One byte more may be the CR of its end.
            if len(self._buffer) - start > self._max_line_bytes + 1:
                yield from self._pop_lines(start)
                yield from joined(self.take_line())
                return
            searched = len(self._buffer) - self._position  # an index in the buffer that reading on leaves
            if not self._fill():
                yield from self._pop_lines(self._end_of_whole_lines())
                return
            found = self._buffer.find(NUL, searched)
        if found < 0:
            yield from self._pop_lines(end + 1)
        else:
            yield from joined(self._take_one_by_one(limit))

    def _take_one_by_one(self, limit: int) -> Iterator[Lines]:
        """The lines that begin before the limit, where zero bytes are among them."""
        while self.offset < limit and not self.at_end():
            yield from self.take_line()

    def _fill(self) -> bool:
        """Reads more bytes to the buffer; false at the end."""
        if self.damage is not None:
            return False
        rest = self._buffer[self._position :]
        # As much as is kept already: the buffer doubles, so that the bytes of a long line are copied few times.
        try:
            data = self._stream.read(max(self._read_bytes, len(rest)))
        except DamagedError as error:  # kept until the lines before it were returned
            self.damage, data = error, b""
        self._buffer, self._position = rest + data, 0
        return bool(data)

    def _end_of_whole_lines(self) -> int:
        """Index in the buffer, at the end of the file, of the end of its last whole line."""
        size = len(self._buffer)
        if self.damage is None:
            return size
        # Without a line feed before the damage, the last line may be cut off, and belongs to what is lost.
        end = self._buffer.rfind(b"\n", self._position) + 1 or self._position
        self._set_rest(self.offset + end - self._position, self._buffer[end:])
        self._buffer = self._buffer[:end]
        return end

    def _set_rest(self, offset: int, rest: bytes) -> None:
        if self.damage is not None:
            self.damage.content_offset, self.damage.rest = offset, rest[:OVERLONG_HEAD_BYTES]

    def _advance(self, count: int) -> None:
        self._position += count
        self.offset += count

    def _pop_lines(self, end: int) -> Iterator[Lines]:
        """The lines before the index `end` of the buffer, which is a line border."""
        offset, data = self.offset, self._buffer[self._position : end]
        self._advance(len(data))
        if len(data) <= self._max_line_bytes:
            if data:
                yield Lines(offset, data)
        else:
            yield from set_overlong_apart(offset, data, self._max_line_bytes)

    def take_line(self) -> Iterator[Lines]:
        """The line at the reader's position, in the pieces that zero bytes divide it into; of a long one the head."""
        nuls = self._skip_nuls()
        while True:
            offset = self.offset
            piece = self._pop_piece()
            if not piece.end and self.damage is not None:
                self._set_rest(offset, piece.kept)
            elif piece.content_bytes > self._max_line_bytes:
                head = piece.kept[: min(piece.content_bytes, OVERLONG_HEAD_BYTES)]
                yield Lines(offset, head, piece.content_bytes, nuls)
            elif piece.kept or piece.end or nuls:
                data = piece.kept + b"\n" if piece.end == b"\n" else piece.kept
                yield Lines(offset, data, nuls=nuls, torn=piece.end == NUL)
            if piece.end != NUL:
                return
            nuls = piece.nuls

    def _pop_piece(self) -> _Piece:
        """The bytes before the next end of a line."""
        # Enough to see that the line is overlong, and for the head of it that is kept.
        most = max(self._max_line_bytes + 1, OVERLONG_HEAD_BYTES)
        kept, length, end, nuls = bytearray(), 0, b"", 0
        last = b""
        while not end and not self.at_end():
            found = LINE_END.search(self._buffer, self._position)
            stop = found.start() if found else len(self._buffer)
            part = self._buffer[self._position : stop]
            self._advance(len(part))
            if found and found[0] == b"\n":
                self._advance(1)
                end = b"\n"
            elif found:
                nuls = self._skip_nuls()
                end = NUL if is_border(self._look_ahead()) else b""
            # These zero bytes do not end the line but belong to it. There may be gigabytes, so not all are kept.
            if found and not end:
                part += bytes(min(nuls, most))
                length += max(0, nuls - most)
            kept += part[: max(0, most - len(kept))]
            length += len(part)
            last = part[-1:] or last
        return _Piece(bytes(kept), length - (last == b"\r"), end, nuls)

    def _skip_nuls(self) -> int:
        """Skips zero bytes, in bounded memory however many there are; returns their number."""
        offset = self.offset
        while not self.at_end():
            stop = end_of_nuls(self._buffer, self._position)
            self._advance(stop - self._position)
            if stop < len(self._buffer):
                break
        return self.offset - offset

    def _look_ahead(self) -> bytes:
        while len(self._buffer) - self._position < LOOK_AHEAD_BYTES and self._fill():
            pass
        return self._buffer[self._position : self._position + LOOK_AHEAD_BYTES]


class _Piece(NamedTuple):
    """The bytes before an end of a line.

    Attributes:
        kept: the bytes, or as many of them as may be kept in memory.
        content_bytes: their number, without a CR at the end.
        end: a line feed, a zero byte where zero bytes take its place, or empty at the end of the file.
        nuls: number of zero bytes that ended the line.
    """

    kept: bytes
    content_bytes: int
    end: bytes
    nuls: int


def reader_from(stream: FileStream, start: int, stop: int, max_line_bytes: int) -> LineReader:
    """A reader at the first line of a file that begins at or after the offset `start`.

    If no line begins before `stop`, the reader stands at an offset of at least `stop`, or at the end of the file.
    """
    if not start:
        return LineReader(stream, 0, max_line_bytes)
    # Only the byte before `start` tells whether a line begins there.
    if start > 1:
        stream.seek(start - 1)
    reader = LineReader(stream, start - 1, max_line_bytes)
    reader.start = start
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
            ends when it returns false. At the end of `size` it is called with the number of cells.
        uri: the file, for errors.
        size: of the file when it was found; lines that were appended since are not read. None if it is not known.

    Raises:
        DamagedError: the file ends before `size`, or is damaged; raised after all whole lines before.
        SourceError: the stream cannot be read.
    """
    if not reader.offset:
        reader.skip_mark()
    while size is None or reader.offset < size:
        at_end = reader.at_end()
        if reader.damage is not None:
            raise reader.damage
        if at_end and size is None:
            return
        # The file became shorter than this reader's share; the reader of the share in which it ends reports that.
        if at_end and reader.offset < reader.start:
            break
        cell = reader.offset // cell_bytes
        if not claim(cell):
            return
        if at_end:
            raise _shrunk(uri, reader.offset, size)
        limit = (cell + 1) * cell_bytes
        yield from reader.take(limit if size is None else min(limit, size))
    # Tells Beam's tracker that the whole restriction was read, also the cells in which no line begins.
    claim(-(-(size or 0) // cell_bytes))


def _shrunk(uri: str, offset: int, size: int | None) -> DamagedError:
    error = DamagedError(
        f"the file ends here, but had {size} bytes when the job began; it must not be truncated or replaced while it "
        "is read",
        uri,
        offset,
    )
    error.content_offset = offset
    return error
