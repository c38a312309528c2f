"""Files before they are read, and what can be said of a local path without reading it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from typing import Final

import msgspec

from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.sources.compression import Compression
from dovebeam.transforms.sources.errors import SourceError
from dovebeam.transforms.sources.expected import Expected
from dovebeam.transforms.sources.formats import Format

__all__ = [
    "FoundFile",
    "SourceFile",
    "absolute_pattern",
    "check_readable",
    "distinct_files",
    "found_file",
    "printable_path",
]

# As the layers above name and write them.
_ARCHIVE_PREFIX: Final = "archive-"
_MANIFEST_SUFFIX: Final = ".manifest.json"
_MANIFEST_START_BYTES: Final = 1_024


class FoundFile(msgspec.Struct, frozen=True):
    """A file that a pattern matched.

    Attributes:
        uri: its path or URL as a text, by which it is called in rejects and keys; bytes that are not UTF-8 are in
            hexadecimal.
        size: in bytes, as it is stored, at the time of matching.
        path: its local path if that is another than `uri`; else empty.
        expected: what it must be; None if that is not known.
    """

    uri: str
    size: int
    path: bytes = b""
    expected: Expected | None = None

    @property
    def location(self) -> str:
        """What it is opened by."""
        return os.fsdecode(self.path) or self.uri


class SourceFile(msgspec.Struct, frozen=True):
    """A file and what it holds, told by its first bytes.

    Attributes:
        uri: its path or URL.
        size: in bytes, as it is stored.
        compression: of the file.
        format: of its uncompressed content.
        path: see `FoundFile`.
        damage: empty, or why nothing of it can be read.
        expected: see `FoundFile`.
    """

    uri: str
    size: int
    compression: Compression
    format: Format
    path: bytes = b""
    damage: str = ""
    expected: Expected | None = None

    @property
    def splittable(self) -> bool:
        """Whether parts of the file can be read without what stands before them."""
        return self.compression == "none" and self.format != "avro" and not self.damage

    @property
    def location(self) -> str:
        """What it is opened by."""
        return os.fsdecode(self.path) or self.uri


def printable_path(path: str) -> str:
    """The path as proper text, with a backslash escape for each byte that is not UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def absolute_pattern(pattern: str) -> str:
    """The pattern without what depends on the folder that one is in; Beam's globs need that, and so do workers.

    A path with `..` in it is left as it is otherwise, for it may lead through a symbolic link.
    """
    if is_url(pattern):
        return pattern
    path = os.path.join(os.getcwd(), pattern)
    return path if ".." in path.split(os.sep) else os.path.normpath(path) + os.sep * path.endswith(os.sep)


def found_file(location: str, size: int, name: str = "") -> FoundFile:
    """A file that is opened by `location` and called by that, too, or by `name`."""
    uri = name or printable_path(location)
    return FoundFile(uri, size) if uri == location else FoundFile(uri, size, os.fsencode(location))


def distinct_files(paths: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Local files without those that are the same ones again, by a link or another spelling.

    Returns:
        The files that are left, in their order; of several names of one file that which is no link, or else the first.
        And pairs of a name that was left out and the one that stands for it.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for path in dict.fromkeys(paths):
        with contextlib.suppress(OSError):  # whoever reads it finds out
            status = os.stat(path)
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    instead: dict[str, str] = {}
    for same in names.values():
        kept = min(same, key=lambda path: os.path.realpath(path) != path) if len(same) > 1 else same[0]
        instead.update((path, kept) for path in same if path != kept)
    return [path for path in dict.fromkeys(paths) if path not in instead], list(instead.items())


def check_readable(path: str) -> None:
    """Says of a local path what would otherwise look like an empty file or fail only later.

    Raises:
        SourceError: unless it is a regular file, or a link to one, that may be read.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path) from error
    if stat.S_ISDIR(mode):
        raise SourceError(_about_directory(path), path)
    if not stat.S_ISREG(mode):
        raise SourceError("is no regular file; write what it delivers to a file first", path)
    if not os.access(path, os.R_OK):
        raise SourceError("cannot be read: permission denied", path)
    if path.endswith(_MANIFEST_SUFFIX) and _is_manifest(path):
        folder = os.path.dirname(path) or "."
        raise SourceError(
            "is the manifest of an archive and holds no events; name the directory of the archive instead, as in "
            f"dovebeam replay --input {folder}, or only its files of events, as in --input '{folder}/**/*.avro'",
            path,
        )


def _about_directory(path: str) -> str:
    """What to write instead of a directory."""
    with contextlib.suppress(OSError):
        if any(name.startswith(_ARCHIVE_PREFIX) and name.endswith(_MANIFEST_SUFFIX) for name in os.listdir(path)):
            return (
                f"is a directory, an archive of dovebeam; send it with dovebeam replay --input {path}, or name its "
                f"files, as in --input '{path.rstrip('/')}/**/*.avro'"
            )
    return "is a directory; to read the files in it, write a pattern like '/*' behind it"


def _is_manifest(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        start = file.read(_MANIFEST_START_BYTES)
        return b'"run_id"' in start and b'"state"' in start
    return False
