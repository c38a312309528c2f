"""Reader of one open file that grows: gives whole lines from the offset of its record on."""

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

# A FIFO in place of the file must not hang the stream, nor a symbolic link lead elsewhere.
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MARK_DIGITS: Final = 12
_MAX_READS: Final = 64  # of one call, so that a file without line ends does not take all the time


class ReplacedError(Exception):
    """The content of the file is not that of its record: the file was truncated, and perhaps written again."""


class UnreadableFormatError(Exception):
    """The format of the file cannot be followed; the text names it."""


class Tail:
    """Reads one open file.

    Args:
        record: of the file; its offset moves with every block.
        input_format: of the lines, or "auto" to detect it.
        max_line_bytes: of a longer line only the head is read.

    Raises:
        FileNotFoundError: the path leads to no file, or to another one.
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
        """The next whole lines, about `DEFAULT_BLOCK_BYTES` of them; None if there are none yet.

        Raises:
            ReplacedError: the file was truncated; no line that may be of other content was returned.
            UnreadableFormatError: it is compressed or an Avro container.
            SourceError: the system cannot read it.
        """
        try:
            return self._next_block()
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", self.record.path, self._searched) from error

    def last_piece(self) -> Block | None:
        """The unfinished last line, for files that no program appends to any more; None if there is none."""
        size = os.fstat(self._fd).st_size
        # Only after all whole lines were read.
        if self._searched < size or size <= self.record.offset:
            return None
        return self._line(size)

    @property
    def is_deleted(self) -> bool:
        """Whether the file has no name any more."""
        return os.fstat(self._fd).st_nlink == 0

    @property
    def is_read(self) -> bool:
        """Whether the file was read to its end, with no piece of a line left."""
        return self.record.offset >= os.fstat(self._fd).st_size

    def replace(self, record: FileRecord) -> None:
        """Sets the record, another one of the same file, and with it the offset."""
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
            if not data:  # it became shorter since `fstat`
                raise ReplacedError
            self.grown_at = time.monotonic()
            newline = data.rfind(b"\n") + 1
            if newline:
                return self._lines(data, newline)
            self._searched += len(data)
        return None

    def _lines(self, data: bytes, newline: int) -> Block | None:
        """A block of the whole lines in `data`, which was read at the offset of the search."""
        # The usual case in one slice; zero bytes, and lines longer than one read, are handled line by line.
        if self._searched == self.record.offset:
            nul = data.find(NUL, 0, newline)
            end = newline if nul < 0 else data.rfind(b"\n", 0, nul) + 1
            if end:
                return self._block(Lines(self._searched, data[:end]), self._searched + end)
        return self._line(self._searched + data.index(b"\n") + 1)

    def _line(self, stop: int) -> Block | None:
        """A block of the one line from the record's offset to `stop`, or of its first piece."""
        start = self.record.offset
        part = _Part(self._fd, start, stop, self.record.path)
        piece = next(LineReader(part, start, self._max_line_bytes).take_line(), None)
        if piece is None:  # the file became shorter
            raise ReplacedError
        return self._block(piece, piece.offset + max(len(piece.data), piece.overlong_bytes) if piece.torn else stop)

    def _block(self, piece: Lines, stop: int) -> Block:
        """The block of a piece; moves the offset of the record to `stop`."""
        record = self.record
        self._identify(piece.offset)
        # Checked after reading: if the file still has its content now, it had it while it was read.
        status = os.fstat(self._fd)
        if status.st_size < stop or not record.is_still(self._fd, status.st_size):
            raise ReplacedError
        # The name alone would give lines of different files of one name the same place, and so the same key.
        uri = f"{record.first_path}#{record.mark}"
        block = block_of(piece, uri, record.format or "json", only_format=self._format != "auto")
        record.advance(b"" if piece.overlong_bytes else piece.data, stop)
        self._searched = stop
        return block

    def _identify(self, first: int) -> None:
        """Detects the format and sets the mark, when the first line, which begins at this offset, is there."""
        record = self.record
        if record.format and record.mark:
            return
        head = os.pread(self._fd, FORMAT_BYTES, 0)
        # The hole of a truncated file may be larger than the head.
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
    """Stream of a range of an open file.

    Attributes:
        uri: path of the file.
    """

    def __init__(self, fd: int, start: int, stop: int, uri: str) -> None:
        self._fd = fd
        self._at = start
        self._stop = stop
        self.uri = uri

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end of the range."""
        data = os.pread(self._fd, min(size, self._stop - self._at), self._at)
        self._at += len(data)
        return data
