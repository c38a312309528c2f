"""The exceptions for input that cannot be read at all, or only in part."""

from __future__ import annotations

from dovebeam.transforms.errors import DovebeamError

__all__ = ["DamagedError", "SourceError"]


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
