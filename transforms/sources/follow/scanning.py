"""Scanner of followed files: detects which are new, renamed, truncated, copied or gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.follow.records import HEAD_BYTES, FileRecord, FollowState, head_hash
from dovebeam.transforms.sources.follow.targets import FollowTarget, Found, find_files

__all__ = ["Scanner"]

_LINK: Final = "is a symbolic link and is not followed; follow the file that it leads to, or its directory"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# A file that is gone may come back as a copy, so its record is kept for a while.
_FORGET_SECS: Final = 7 * 24 * 3600
_MAX_GONE: Final = 10_000
_COPYING_SECS: Final = 2.0
"""Time without growth after which a small file with the name of a rotated one is taken for complete."""


class Scanner:
    """The records of all files, updated from the file system by `scan`.

    Args:
        targets: the files.
        state: of the files that are known.

    Attributes:
        records: of files that are there or gone; they are changed in place.
        targets_begun: paths of targets that were scanned at least once.
        begun_again: identities of files whose content was replaced, as found at the last scan.
    """

    def __init__(self, targets: Sequence[FollowTarget], state: FollowState) -> None:
        self._targets = targets
        self.begun_again: set[tuple[int, int]] = set()
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}
        self._passed_over: set[tuple[int, int]] = set()
        self._directories: dict[str, int] = {}
        self.restore(state)

    def restore(self, state: FollowState) -> None:
        """Replaces the known files by those of another state."""
        self.records: list[FileRecord] = state.files
        self.targets_begun = set(state.targets)

    def size_of(self, record: FileRecord) -> int:
        """Size of the file at the last scan; 0 for a file that is gone or skipped."""
        return 0 if record.identity in self._passed_over else self._sizes.get(record.identity, (0, 0))[0]

    def is_worth_opening(self, record: FileRecord, recent_secs: float) -> bool:
        """Whether the file has unread bytes, or may soon have.

        Args:
            record: of the file.
            recent_secs: a file that was written within this time may soon be written again.
        """
        if record.identity in self._passed_over or record.identity not in self._sizes:
            return False
        size, written_nsec = self._sizes[record.identity]
        return size > record.offset or (not record.is_rotated and time.time() - written_nsec / 1e9 < recent_secs)

    def has_changes(self) -> bool:
        """Whether files were created, removed or renamed since the last scan, by the times of their directories."""
        return any(_mtime(directory) != mtime for directory, mtime in self._directories.items())

    def pass_over(self, record: FileRecord) -> None:
        """Skips a file, because its format cannot be followed, until it is gone."""
        self._passed_over.add(record.identity)

    def replaced(self, record: FileRecord) -> None:
        """Resets the record of a file whose content was replaced."""
        # The unread rest of the old content may be in a copy, so a record without an inode remembers it. Of a file that
        # was not read at all, the copy is simply read as a rotated file that is new.
        if record.offset:
            ghost = msgspec.structs.replace(record, device=0, inode=0, gone_since=time.time())
            self.records.append(ghost)
        record.begin_again()
        self.begun_again.add(record.identity)

    def scan(self, opened: Collection[tuple[int, int]]) -> list[SourceError]:
        """Scans all targets; returns errors of those that could not be scanned.

        Args:
            opened: identities of open files, which are read to their end even if they are not found any more.
        """
        found, errors, old = self._find()
        self._passed_over &= found.keys()
        self.begun_again = set()
        self._update_known(dict(found))
        self._sizes = {identity: (each.status.st_size, each.status.st_mtime_ns) for identity, each in found.items()}
        known = {record.identity for record in self.records}
        self._forget()
        # The largest first: of several copies of a file, the complete one takes over its record.
        for each in sorted(found.values(), key=lambda each: -each.status.st_size):
            if each.identity not in known:
                self._meet(each, opened, old=each.path in old)
        return errors

    def _find(self) -> tuple[dict[tuple[int, int], Found], list[SourceError], set[str]]:
        """All files by identity, errors, and the rotated files that were there before their target was followed."""
        found: dict[tuple[int, int], Found] = {}
        errors: list[SourceError] = []
        old: set[str] = set()
        known = {record.first_path for record in self.records}
        # Before the directories are listed: what changes in between is then found by the next `has_changes`.
        self._directories = {path: _mtime(path) for path in self._watched()}
        for target in self._targets:
            try:
                files, links = find_files(target, known)
            except SourceError as error:
                errors.append(error)
                continue
            errors += (SourceError(_LINK, path) for path in links)
            # A file of several targets, or of several names, is taken once; its name as a rotated file counts more.
            for each in files:
                if found.get(each.identity, each).base or each.identity not in found:
                    found[each.identity] = each
            if target.path not in self.targets_begun:
                self.targets_begun.add(target.path)
                # What was rotated before the stream first ran is history, as with `tail -F`. A whole directory is asked
                # for with all that is in it.
                if target.kind != "directory":
                    old.update(each.path for each in files if each.base)
        return found, errors, old

    def _watched(self) -> set[str]:
        directories = {each.path if each.kind == "directory" else os.path.dirname(each.path) for each in self._targets}
        return directories | {os.path.dirname(record.path) for record in self.records}

    def _update_known(self, found: dict[tuple[int, int], Found]) -> None:
        """Updates path and state of the files that are known."""
        for record in list(self.records):
            each = found.get(record.identity) if record.inode else None
            if each is None:
                record.gone_since = record.gone_since or time.time()
                continue
            if not self._is_same(record, each):
                self.replaced(record)
                record.first_path = each.base or each.path
            # Nothing was read of it, so nothing shows whether it is the same file or one that got its inode.
            elif record.gone_since and not record.offset:
                record.first_path = each.base or each.path
            record.path, record.gone_since = each.path, 0

    def _meet(self, each: Found, opened: Collection[tuple[int, int]], *, old: bool) -> None:
        """Adds the record of an unknown file, if its lines were not read: new files, copies, missed rotated files."""
        if not each.base:
            self._add(each, each.path)
            return
        head = _head(each.path)
        if old:
            self._add(each, each.base, offset=each.status.st_size)
            return
        alike = [record for record in self.records if record.first_path == each.base and record.has_head(head)]
        gone = [record for record in alike if record.gone_since and record.identity not in opened]
        if any(_is_part_of(each, record) for record in alike if record not in gone):
            return  # a whole or unfinished copy of a file that is still there
        if any(each.status.st_size < record.offset for record in gone):
            return  # an earlier copy of what is gone, all of which was read
        left = [record for record in gone if _goes_on(each, record)]
        if left:
            self._take_over(each, max(left, key=lambda record: record.offset))
        elif not _may_be_in_the_making(each):
            self._add(each, each.base)

    def _take_over(self, each: Found, original: FileRecord) -> None:
        """Gives a copy the record of its original, so that it is read from the original's offset."""
        self.records.remove(original)
        copy = msgspec.structs.replace(original, path=each.path, gone_since=0)
        copy.device, copy.inode = each.identity
        self.records.append(copy)

    def _add(self, each: Found, first_path: str, *, offset: int = 0) -> None:
        record = FileRecord(each.path, first_path, *each.identity, offset=offset)
        if offset:
            _learn(record, each.path)
        self.records.append(record)

    def _is_same(self, record: FileRecord, each: Found) -> bool:
        """Whether a file with the inode of the record has its content."""
        # A file that shrank below the offset was truncated. One of the same size and time as before is not read, which
        # saves opening every file at every scan.
        if each.status.st_size < record.offset:
            return False
        seen = each.status.st_size, each.status.st_mtime_ns
        return self._sizes.get(record.identity) == seen or _learn(record, each.path)

    def last_written(self, record: FileRecord) -> int:
        """Modification time of the file at the last scan, nanoseconds since 1970; 0 if it was missing."""
        return self._sizes.get(record.identity, (0, 0))[1]

    def _forget(self) -> None:
        """Removes records of files that have been gone for long, and the oldest ones of too many."""
        limit = time.time() - _FORGET_SECS
        gone = sorted(record.gone_since for record in self.records if record.gone_since)
        if len(gone) > _MAX_GONE:
            limit = max(limit, gone[-_MAX_GONE - 1])
        self.records = [record for record in self.records if not record.gone_since or record.gone_since > limit]


def _learn(record: FileRecord, path: str) -> bool:
    """Whether the file at the path has the content of the record; also extends the hash of its start."""
    try:
        fd = os.open(path, _READ)
    except OSError:  # checked when it can be opened again
        return True
    try:
        status = os.fstat(fd)
        return (status.st_dev, status.st_ino) != record.identity or record.is_still(fd, status.st_size)
    finally:
        os.close(fd)


def _head(path: str) -> bytes:
    return _part(path, 0, HEAD_BYTES)


def _part(path: str, offset: int, size: int) -> bytes:
    """Some bytes of a file; none if it cannot be read."""
    with contextlib.suppress(OSError):
        fd = os.open(path, _READ)
        try:
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)
    return b""


def _is_part_of(each: Found, original: FileRecord) -> bool:
    """Whether a file may be a whole or unfinished copy of one that is still there and has the same start."""
    # It ends with the bytes that the original has at this offset.
    size = each.status.st_size
    begin = max(0, size - HEAD_BYTES)
    return _part(each.path, begin, size - begin) == _part(original.path, begin, size - begin)


def _goes_on(each: Found, original: FileRecord) -> bool:
    """Whether a file with the start of one that is gone also has the bytes that were last read of it."""
    # Without this check, two logs that begin alike, as with a restart's first events, would be taken for each other.
    tail = _part(each.path, original.offset - original.tail_bytes, original.tail_bytes)
    return not original.tail_bytes or head_hash(tail) == original.tail_hash


def _may_be_in_the_making(each: Found) -> bool:
    """Whether a file may be a copy that has just been started, so that its start cannot be compared yet."""
    return each.status.st_size < HEAD_BYTES and time.time() - each.status.st_mtime < _COPYING_SECS


def _mtime(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return 0
