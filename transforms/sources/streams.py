"""An opened file that knows its name and position, so that every failure to read says where."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO, Protocol

from dovebeam.transforms.sources.errors import SourceError

__all__ = ["ByteStream", "FileStream", "error_text"]


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
