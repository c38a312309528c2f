"""Streams of bytes whose errors name file and position, and rules for zero bytes in files of lines."""

from __future__ import annotations

import re
from types import TracebackType
from typing import BinaryIO, Final, Protocol

from dovebeam.transforms.errors import DovebeamError

__all__ = [
    "LINE_END",
    "LOOK_AHEAD_BYTES",
    "NUL",
    "NULS",
    "TORN",
    "ByteStream",
    "DamagedError",
    "FileStream",
    "SourceError",
    "end_of_nuls",
    "error_text",
    "is_border",
]


class SourceError(DovebeamError):
    """Error for a source that is missing or cannot be read.

    It is not an error of one event: it fails the bundle, so that nothing is silently lost.

    Attributes:
        message: what is wrong and how to repair it, without the place.
        uri: the file, or an empty string.
        offset: byte offset in the file, as it is stored, at which it was noticed; None if it has none.
    """

    def __init__(self, message: str, uri: str = "", offset: int | None = None) -> None:
        # The message alone comes first, because Beam adds the name of the step to the first argument.
        super().__init__(message, uri, offset)
        self.message = message
        self.uri = uri
        self.offset = offset

    def __str__(self) -> str:
        place = self.uri if self.offset is None else f"{self.uri}, byte {self.offset}"
        return f"{place}: {self.message}" if place else self.message


class DamagedError(SourceError):
    """Error for a file whose content is damaged or cut off from some place on; a retry would find the same.

    So it only ends the reading of this file: the rest of the file becomes one reject. Failures of a disk, a network or
    a permission are a plain `SourceError`, which fails the bundle, because they can be repaired.

    Attributes:
        content_offset: offset in the uncompressed content of the first line or record that was not read.
        rest: the start of that line, as far as it is there.
    """

    def __init__(self, message: str, uri: str = "", offset: int | None = None) -> None:
        super().__init__(message, uri, offset)
        self.content_offset = 0
        self.rest = b""


class ByteStream(Protocol):
    """Interface of a stream that is read from front to back.

    Attributes:
        uri: the file behind it, for errors.
    """

    uri: str

    def read(self, size: int, /) -> bytes:
        """About `size` bytes, at least one; none at the end.

        Raises:
            SourceError: the file cannot be read.
        """
        ...  # pragma: no cover


class FileStream:
    """Stream of a file as it is stored; any failure of its file system is raised as a `SourceError`.

    Attributes:
        uri: the file.
        position: offset of the next byte to be read.
    """

    def __init__(self, file: BinaryIO, uri: str) -> None:
        self._file = file
        self.uri = uri
        self.position = 0

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end of the file."""
        try:
            data = self._file.read(size)
        except Exception as error:  # the clients of object stores have their own exceptions
            raise SourceError(f"cannot be read: {error_text(error)}", self.uri, self.position) from error
        self.position += len(data)
        return data

    def seek(self, offset: int) -> None:
        """Sets the position."""
        try:
            self._file.seek(offset)
        except Exception as error:
            raise SourceError(f"cannot be read from the middle: {error_text(error)}", self.uri, offset) from error
        self.position = offset

    def __enter__(self) -> FileStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def error_text(error: Exception) -> str:
    """Text of a file system's exception, for the message of a `SourceError`."""
    # `str(error)` of an OSError has the path, which the `SourceError` names already.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


# Zero bytes in files of lines. No event has any, but a file can: after a power failure it may have its new size without
# its data, and the next line is appended after zero bytes; and a file that is truncated under a writer without O_APPEND
# begins with a hole as large as the file was.
#
# Zero bytes before a line are skipped. Zero bytes after the start of a line end it as torn, if another line or the end
# of the file follows them. Other zero bytes stay in their line, which is a reject.

NUL: Final = b"\0"
TORN: Final = "the line is cut off by NUL bytes, as a power failure leaves them; its rest is lost"
LOOK_AHEAD_BYTES: Final = len(b"start_time:")

# The starts of lines of all formats, as detection knows them, and blank lines.
_BEGIN: Final = rb"\{|event:|hostname:|start_time:|end_time:|category:|field:|\r?\n"
# Possessive, and only after a byte that is not zero: else each byte of a hole would start a search through the rest of
# the hole.
LINE_END: Final = re.compile(rb"\n|(?<!\x00)\x00++(?:(?=%s)|(?=.{0,%d}\Z))" % (_BEGIN, LOOK_AHEAD_BYTES - 1), re.DOTALL)
"""A line feed, or zero bytes that end a line, or that may do so, depending on bytes that are not read yet."""

_AFTER: Final = re.compile(_BEGIN + rb"|\r?\Z")
NULS: Final = re.compile(rb"\x00++")


def is_border(follows: bytes) -> bool:
    """Whether zero bytes end a line; `follows` are the `LOOK_AHEAD_BYTES` after them, fewer at the end of the file."""
    return _AFTER.match(follows) is not None


def end_of_nuls(data: bytes, start: int) -> int:
    """The index of the first byte from `start` on that is not zero, or the length of `data`."""
    found = NULS.match(data, start)
    return found.end() if found else start
