"""An opened file that knows its name and position, so that every failure to read says where."""

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
    """A file that is missing, unreadable, cut off or damaged, so that what it held cannot be known.

    It is no bad event: it fails the bundle, so that nothing is lost in silence. Its first argument is the message
    alone, because Beam adds the name of the step to that one.

    Attributes:
        message: what is wrong and how to repair it, without the place.
        uri: the file, or an empty string.
        offset: byte offset in the file, as it is stored, at which it was noticed; None where there is none.
    """

    def __init__(self, message: str, uri: str = "", offset: int | None = None) -> None:
        super().__init__(message, uri, offset)
        self.message = message
        self.uri = uri
        self.offset = offset

    def __str__(self) -> str:
        place = self.uri if self.offset is None else f"{self.uri}, byte {self.offset}"
        return f"{place}: {self.message}" if place else self.message


class DamagedError(SourceError):
    """A file whose content is damaged or cut off from some place on; reading it again finds the same.

    So it stops nothing but the reading of this file: its rest becomes one reject. Trouble with a disk, a network or a
    permission is a plain `SourceError`, which fails the bundle, because somebody can repair it.

    Attributes:
        content_offset: offset in the uncompressed content of the first line or record that was not read.
        rest: the beginning of that line, as far as it is there.
    """

    def __init__(self, message: str, uri: str = "", offset: int | None = None) -> None:
        super().__init__(message, uri, offset)
        self.content_offset = 0
        self.rest = b""


# An opened file that knows its name and position, so that every failure to read says where.


class ByteStream(Protocol):
    """What can be read from front to back.

    Attributes:
        uri: the file behind it, for errors.
    """

    uri: str

    def read(self, size: int, /) -> bytes:
        """About `size` bytes, at least one; none at the end.

        Raises:
            SourceError: if the file cannot be read on.
        """
        ...  # pragma: no cover


class FileStream:
    """A file as it is stored; any failure of its file system is a `SourceError`.

    Attributes:
        uri: the file.
        position: offset of the next byte that is read.
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
        """Goes on at this offset."""
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
    """What a file system's exception says, for the text of a `SourceError`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


# Zero bytes in files of lines, where no event can have any: what a power failure or a careless truncation leaves.
#
# After a power failure a file may have its new size without its data, so that zero bytes stand in place of lines, and
# the next line is appended behind them. A file that is truncated under a writer without O_APPEND begins with a hole as
# large as the file was. Zero bytes before a line are passed over. Those behind the beginning of a line end it, if a
# line begins behind them or nothing does: that beginning is torn. Others stay where they are, in a line that is no
# event.

NUL: Final = b"\0"
TORN: Final = "the line is cut off by NUL bytes, as a power failure leaves them; its rest is lost"
LOOK_AHEAD_BYTES: Final = len(b"start_time:")

_BEGIN: Final = rb"\{|event:|hostname:|start_time:|end_time:|category:|field:|\r?\n"
LINE_END: Final = re.compile(rb"\n|(?<!\x00)\x00++(?:(?=%s)|(?=.{0,%d}\Z))" % (_BEGIN, LOOK_AHEAD_BYTES - 1), re.DOTALL)
"""A line feed, or zero bytes that end a line, or may do so once more is known of what stands behind them."""

_AFTER: Final = re.compile(_BEGIN + rb"|\r?\Z")
NULS: Final = re.compile(rb"\x00++")


def is_border(follows: bytes) -> bool:
    """Whether zero bytes end a line; `follows` are the `LOOK_AHEAD_BYTES` behind them, fewer at the end of the file."""
    return _AFTER.match(follows) is not None


def end_of_nuls(data: bytes, start: int) -> int:
    """The index of the first byte from `start` on that is not zero, or the length of `data`."""
    found = NULS.match(data, start)
    return found.end() if found else start
