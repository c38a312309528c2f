"""One open file that grows: gives whole lines from where its record stands."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Final

from dovebeam.transforms.sources import (
    DEFAULT_BLOCK_BYTES,
    Block,
    LineReader,
    Lines,
    SourceError,
    block_of,
    detect_compression,
    detect_format,
)
from dovebeam.transforms.sources.block import HEAD_BYTES as FORMAT_BYTES
from dovebeam.transforms.sources.block import InputFormat
from dovebeam.transforms.sources.follow.records import HEAD_BYTES, FileRecord, head_hash
from dovebeam.transforms.sources.streams import NUL

__all__ = ["ReplacedError", "Tail", "UnreadableFormatError"]

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MARK_DIGITS: Final = 12
_MAX_READS: Final = 64  # of one call, so that a file without line ends does not take all the time


class ReplacedError(Exception):
    """The file has other content than the record tells of: it was truncated, and perhaps written anew."""


class UnreadableFormatError(Exception):
    """The file holds something that cannot be followed; the text says what."""


class Tail:
    """Reads on in one file.

    Args:
        record: of the file; its offset moves with every block that is given.
        input_format: of the lines, or "auto" to tell it by their begin.
        max_line_bytes: of a longer line only the head is given.

    Raises:
        FileNotFoundError: the file is not there any more, or another one is.
        OSError: it cannot be opened.
    """

    def __init__(self, record: FileRecord, input_format: InputFormat, max_line_bytes: int) -> None:
        self.record = record
        self._format = input_format
        self._max_line_bytes = max_line_bytes
        self._fd = os.open(record.path, _OPEN)
        self._searched = record.offset  # no line ends between the offset and here
        self.grown_at = time.monotonic()
        status = os.fstat(self._fd)
        if (status.st_dev, status.st_ino) != (record.device, record.inode) or not stat.S_ISREG(status.st_mode):
            self.close()
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), record.path)

    def next_block(self) -> Block | None:
        """The next lines that are whole, about `DEFAULT_BLOCK_BYTES` of them; None if there are none yet.

        Raises:
            ReplacedError: the file was truncated; nothing was given that may be of other content.
            UnreadableFormatError: it is compressed or an Avro container.
            SourceError: the system cannot read it.
        """
        try:
            return self._next_block()
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", self.record.path, self._searched) from error

    def last_piece(self) -> Block | None:
        """What stands after the last line's end, as a line; for files that nobody appends to any more."""
        size = os.fstat(self._fd).st_size
        if self._searched < size or size <= self.record.offset:
            return None
        return self._line(size)

    @property
    def is_deleted(self) -> bool:
        """Whether the file has no name any more."""
        return os.fstat(self._fd).st_nlink == 0

    @property
    def is_read(self) -> bool:
        """Whether nothing is left in it, not even a piece of a line."""
        return self.record.offset >= os.fstat(self._fd).st_size

    def replace(self, record: FileRecord) -> None:
        """Goes on at the offset of another record of the same file."""
        self.record, self._searched = record, record.offset

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def _next_block(self) -> Block | None:
        size = os.fstat(self._fd).st_size
        if not self.record.is_still(self._fd, size):
            raise ReplacedError
        for _ in range(_MAX_READS):
            if self._searched >= size:
                break
            data = os.pread(self._fd, min(DEFAULT_BLOCK_BYTES, size - self._searched), self._searched)
            if not data:
                raise ReplacedError
            self.grown_at = time.monotonic()
            newline = data.rfind(b"\n") + 1
            if newline:
                return self._lines(data, newline)
            self._searched += len(data)
        return None

    def _lines(self, data: bytes, newline: int) -> Block | None:
        """A block of what ends with the last line's end in `data`, which was read at the place of the search."""
        if self._searched == self.record.offset:
            nul = data.find(NUL, 0, newline)
            end = newline if nul < 0 else data.rfind(b"\n", 0, nul) + 1
            if end:
                return self._block(Lines(self._searched, data[:end]), self._searched + end)
        return self._line(self._searched + data.index(b"\n") + 1)

    def _line(self, stop: int) -> Block | None:
        """A block of the one line that begins at the offset and ends before `stop`, or of its first piece."""
        start = self.record.offset
        part = _Part(self._fd, start, stop, self.record.path)
        piece = next(LineReader(part, start, self._max_line_bytes).take_line(), None)
        if piece is None:  # the file became shorter
            raise ReplacedError
        return self._block(piece, piece.offset + max(len(piece.data), piece.overlong_bytes) if piece.torn else stop)

    def _block(self, piece: Lines, stop: int) -> Block:
        """The block, once it is sure that the file was the same while it was read; the record moves on."""
        record = self.record
        self._identify(piece.offset)
        status = os.fstat(self._fd)
        if status.st_size < stop or not record.is_still(self._fd, status.st_size):
            raise ReplacedError
        uri = f"{record.first_path}#{record.mark}"
        block = block_of(piece, uri, record.format or "json", only_format=self._format != "auto")
        record.advance(b"" if piece.overlong_bytes else piece.data, stop)
        self._searched = stop
        return block

    def _identify(self, first: int) -> None:
        """Tells the format and the mark when the first line is there, which begins at this offset."""
        record = self.record
        if record.format and record.mark:
            return
        head = os.pread(self._fd, FORMAT_BYTES, 0)
        if head.startswith(NUL):
            head = os.pread(self._fd, FORMAT_BYTES, first)
        if detect_compression(head) != "none":
            raise UnreadableFormatError("is compressed; compressed files do not grow, export it with `dovebeam export`")
        found = detect_format(head) if self._format == "auto" else self._format
        if found not in {"json", "tab-text", None}:
            raise UnreadableFormatError(f"holds {found}; only lines can be followed, export it with `dovebeam export`")
        record.format = "tab-text" if found == "tab-text" else "json"
        record.mark = head_hash(head[:HEAD_BYTES].partition(b"\n")[0])[:_MARK_DIGITS]


class _Part:
    """A part of an open file as a stream.

    Attributes:
        uri: path of the file.
    """

    def __init__(self, fd: int, start: int, stop: int, uri: str) -> None:
        self._fd = fd
        self._at = start
        self._stop = stop
        self.uri = uri

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end of the part."""
        data = os.pread(self._fd, min(size, self._stop - self._at), self._at)
        self._at += len(data)
        return data
