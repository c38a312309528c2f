"""Targets of `--follow`: a file with its rotated files, all files of a directory, or the files of a pattern.

Rotated files are recognised by their names, as logrotate and similar tools make them: `events.json.1`,
`events.json-20261122`, `events-20261122.json`, `events~1.json`, `events.json.old`. Compressed files are never followed:
their lines were read before they were compressed.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from dovebeam.transforms.sources import SourceError

__all__ = ["FollowTarget", "Found", "find_files", "includes", "make_target"]

# Compressed files, and files that editors and package managers create for a moment.
_IGNORED: Final = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".lzma", ".Z", ".zip", ".br", ".new", ".tmp", ".swp")
_BORDERS: Final = ".~_-"  # between the name of a log and the mark of a rotated file
_ROTATED: Final = re.compile(r"[.~_-](?:[0-9][0-9TZ:._-]{0,60}|old|bak|prev)")


@dataclass(frozen=True, slots=True)
class FollowTarget:
    """One value of `--follow`.

    Attributes:
        path: absolute path; for a pattern, with its wildcards.
        kind: whether the path is a file, a directory or a pattern.
    """

    path: str
    kind: Literal["file", "directory", "pattern"]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found.

    Attributes:
        path: of the file.
        base: the path of the file that it seems to have been rotated from; "" if it is not rotated.
        status: its entry in the file system.
    """

    path: str
    base: str
    status: os.stat_result

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino


def make_target(text: str) -> FollowTarget:
    """The target of a path or pattern; a file need not exist yet, but its directory must.

    Raises:
        SourceError: it can never be followed.
    """
    path = os.path.abspath(text)
    if os.path.isdir(path):
        return FollowTarget(path, "directory")
    # Whoever can write the directory could make it lead to any file that the job may read.
    if os.path.islink(path):
        raise SourceError("is a symbolic link, whose target could change; name the file itself", path)
    # A file whose name has a wildcard is meant itself.
    if glob.has_magic(text) and not os.path.exists(path):
        return FollowTarget(path, "pattern")
    if not os.path.isdir(os.path.dirname(path)):
        raise SourceError("its directory does not exist; create it or correct the path", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise SourceError("is not a regular file; only regular files can be resumed where a job stopped", path)
    if path.endswith(_IGNORED):
        raise SourceError("is named as a compressed file; those do not grow, export it with `dovebeam export`", path)
    return FollowTarget(path, "file")


def includes(target: FollowTarget, path: str) -> bool:
    """Whether a target includes a file of this absolute path, whether or not it exists."""
    directory, name = os.path.split(path)
    if name.startswith(".") or name.endswith(_IGNORED):
        return False
    if target.kind == "directory":
        return directory == target.path
    if target.kind == "pattern":
        return path in glob.glob(target.path, recursive=True)
    return directory == os.path.dirname(target.path) and (
        path == target.path or bool(rotated_from(name, [os.path.basename(target.path)]))
    )


def find_files(target: FollowTarget, known: Collection[str]) -> tuple[list[Found], list[str]]:
    """The present files of a target, with rotated files.

    Args:
        target: the target.
        known: paths that were found before, whose rotated files are searched as well.

    Returns:
        The files, and the paths of symbolic links among them, which are not followed.

    Raises:
        SourceError: a directory cannot be read.
    """
    # For each directory, the names by which rotated files in it are recognised.
    names: dict[str, set[str]] = {}
    for path in _primaries(target, known):
        names.setdefault(os.path.dirname(path), set()).add(os.path.basename(path))
    if target.kind == "directory":
        before = {os.path.basename(path) for path in known if os.path.dirname(path) == target.path}
        names = {target.path: before.union(each.name for each in _entries(target.path))}
    found: list[Found] = []
    links: list[str] = []
    for directory, primaries in names.items():
        for entry in _entries(directory):
            base = rotated_from(entry.name, primaries)
            if entry.name in primaries and entry.is_symlink():
                links.append(entry.path)
            elif entry.name in primaries or base:
                found += _found(entry, os.path.join(directory, base) if base else "")
    return found, links


def rotated_from(name: str, primaries: Collection[str]) -> str:
    """The one of the names that was rotated to `name`; "" for none."""
    # The mark stands behind the whole name, or before its extension.
    dot = name.rfind(".")
    for index in range(1, len(name)):
        if name[index] not in _BORDERS:
            continue
        if name[:index] in primaries and _ROTATED.fullmatch(name, index):
            return name[:index]
        if index < dot and name[:index] + name[dot:] in primaries and _ROTATED.fullmatch(name, index, dot):
            return name[:index] + name[dot:]
    return ""


def _primaries(target: FollowTarget, known: Collection[str]) -> Iterator[str]:
    if target.kind == "file":
        yield target.path
    elif target.kind == "pattern":
        yield from glob.iglob(target.path, recursive=True)
        yield from known


def _entries(directory: str) -> list[os.DirEntry[str]]:
    """Entries of a directory that may be files of events."""
    # Hidden files are unfinished ones, as of rsync or dovebeam itself.
    try:
        with os.scandir(directory) as entries:
            return [each for each in entries if not each.name.startswith(".") and not each.name.endswith(_IGNORED)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(
            f"cannot be listed: {error.strerror}; give the user of the job the right to", directory
        ) from error


def _found(entry: os.DirEntry[str], base: str) -> Iterator[Found]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(status.st_mode):
        yield Found(entry.path, base, status)
