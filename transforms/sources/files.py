"""Files before they are read, and what can be said of a local path without reading it."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

import msgspec

from dovebeam.transforms.sources.compression import Compression
from dovebeam.transforms.sources.errors import SourceError
from dovebeam.transforms.sources.formats import Format

__all__ = ["FoundFile", "SourceFile", "absolute_pattern", "check_readable", "is_local"]

_SCHEME: Final = re.compile(r"[a-zA-Z][-a-zA-Z0-9+.]*://")


class FoundFile(msgspec.Struct, frozen=True):
    """A file that a pattern matched.

    Attributes:
        uri: its path or URL.
        size: in bytes, as it is stored, at the time of matching.
    """

    uri: str
    size: int


class SourceFile(msgspec.Struct, frozen=True):
    """A file and what it holds, told by its first bytes.

    Attributes:
        uri: its path or URL.
        size: in bytes, as it is stored.
        compression: of the file.
        format: of its uncompressed content.
    """

    uri: str
    size: int
    compression: Compression
    format: Format

    @property
    def splittable(self) -> bool:
        """Whether parts of the file can be read without what stands before them."""
        return self.compression == "none" and self.format != "avro"


def is_local(pattern: str) -> bool:
    """Whether a pattern is a path and no URL."""
    return not _SCHEME.match(pattern)


def absolute_pattern(pattern: str) -> str:
    """The pattern without what depends on the folder that one is in; Beam's globs need that, and so do workers.

    A path with `..` in it is left as it is otherwise, for it may lead through a symbolic link.
    """
    if not is_local(pattern):
        return pattern
    path = os.path.join(os.getcwd(), pattern)
    return path if ".." in path.split(os.sep) else os.path.normpath(path) + os.sep * path.endswith(os.sep)


def check_readable(path: str) -> None:
    """Says of a local path what would otherwise look like an empty file or fail only later.

    Raises:
        SourceError: unless it is a regular file, or a link to one, that may be read. Its name must be UTF-8, for
            it travels with blocks and stands in rejects.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise SourceError("has a name that is not UTF-8; rename it, or read it through a link", path) from error
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path) from error
    if stat.S_ISDIR(mode):
        raise SourceError("is a directory; to read the files in it, write a pattern like '/*' behind it", path)
    if not stat.S_ISREG(mode):
        raise SourceError("is no regular file; write what it delivers to a file first", path)
    if not os.access(path, os.R_OK):
        raise SourceError("cannot be read: permission denied", path)
