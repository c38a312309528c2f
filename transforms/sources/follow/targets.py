"""Which files one `--follow` means: a file with what it is rotated to, all files of a directory, or those of a pattern.

Rotated files are told by their names, as logrotate and its kin make them: `events.json.1`, `events.json-20261122`,
`events-20261122.json`, `events~1.json`, `events.json.old`. Compressed files are never followed: what they hold was read
before it was compressed.
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

__all__ = ["FollowTarget", "Found", "find_files", "includes", "make_target", "rotated_from"]

_PASSED_OVER: Final = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".lzma", ".Z", ".zip", ".br", ".new", ".tmp", ".swp")
_BORDERS: Final = ".~_-"
_ROTATED: Final = re.compile(r"[.~_-](?:[0-9][0-9TZ:._-]{0,60}|old|bak|prev)")


@dataclass(frozen=True, slots=True)
class FollowTarget:
    """What one `--follow` asks for.

    Attributes:
        path: absolute; of a pattern with its wildcards.
        kind: what it is.
    """

    path: str
    kind: Literal["file", "directory", "pattern"]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found.

    Attributes:
        path: where it is.
        base: the path of the file that it seems to have been rotated from; "" if it is not rotated.
        status: what the system says of it.
    """

    path: str
    base: str
    status: os.stat_result

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino


def make_target(text: str) -> FollowTarget:
    """The target that `text` names; a file may come later, its directory must be there.

    Raises:
        SourceError: it can never be followed.
    """
    path = os.path.abspath(text)
    if os.path.isdir(path):
        return FollowTarget(path, "directory")
    if os.path.islink(path):
        raise SourceError("is a symbolic link, which could come to lead anywhere; name the file itself", path)
    if glob.has_magic(text) and not os.path.exists(path):
        return FollowTarget(path, "pattern")
    if not os.path.isdir(os.path.dirname(path)):
        raise SourceError("its directory does not exist; create it or correct the path", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise SourceError("is no regular file, and only those can be read again from where a job stopped", path)
    if path.endswith(_PASSED_OVER):
        raise SourceError("is named as a compressed file; those do not grow, export it with `dovebeam export`", path)
    return FollowTarget(path, "file")


def includes(target: FollowTarget, path: str) -> bool:
    """Whether a file of this absolute path would be read if it were there."""
    directory, name = os.path.split(path)
    if name.startswith(".") or name.endswith(_PASSED_OVER):
        return False
    if target.kind == "directory":
        return directory == target.path
    if target.kind == "pattern":
        return path in glob.glob(target.path, recursive=True)
    return directory == os.path.dirname(target.path) and (
        path == target.path or bool(rotated_from(name, [os.path.basename(target.path)]))
    )


def find_files(target: FollowTarget, known: Collection[str]) -> tuple[list[Found], list[str]]:
    """The files that a target means now; of paths that were `known` also what they were rotated to.

    Returns:
        The files, and the paths of symbolic links in their place, which are not followed.

    Raises:
        SourceError: a directory cannot be read.
    """
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
    """Which of the names was rotated to `name`; "" for none."""
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
    """What may be a file of events; hidden files are somebody's work in progress."""
    try:
        with os.scandir(directory) as entries:
            return [each for each in entries if not each.name.startswith(".") and not each.name.endswith(_PASSED_OVER)]
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
