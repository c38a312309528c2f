"""The spool: a directory of files of lines that a collector writes and a stream follows.

Files are named by the UTC time at which they were started, so that their names sort in the order of their lines. A line
is in a file completely or not at all: what a full disk cut short is removed again. Each start of a collector starts a
new file, because after a power failure the last one may end in the middle of a line.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from dovebeam.pipelines.collect.options import Fsync
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import make_private_directory, sync_directory, take_lock, write_all

__all__ = ["SUFFIX", "TORN", "Spool", "SpoolSettings"]

SUFFIX: Final = ".lines"
"""Suffix of the names of files of whole lines."""

TORN: Final = "torn"
"""The directory within the spool for pieces of lines."""

_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z\Z")
_FORM: Final = "%Y%m%dT%H%M%S.%fZ"
# O_EXCL: no file is continued by accident. O_NOFOLLOW: a link that was planted in the directory leads nowhere.
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_TORN: Final = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SYNC_SECS: Final = 1.0  # what `--fsync batch` promises
_DELETE_SECS: Final = 10.0


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Settings of a spool; see the options of the same names in `CollectOptions`."""

    fsync: Fsync = "batch"
    rotate_size: int = 64 * 1024 * 1024
    rotate_interval: int = 600
    keep: int = 0
    file_mode: int = 0o600


class Spool:
    """Writer of a spool; a context manager, not safe for several threads at a time.

    Args:
        directory: created with mode 0700 if it is missing; its parents must exist.
        settings: of the spool.

    Raises:
        DeliveryError: the directory cannot be written to, or another process writes to it.
    """

    def __init__(self, directory: str, settings: SpoolSettings) -> None:
        self._directory = os.path.abspath(directory)
        self._settings = settings
        self._fd = -1
        self._size = 0
        self._begun = 0.0
        self._unsynced_since = 0.0
        self._next_deletion = 0.0
        self._lock = _locked(self._directory)
        # The newest file of earlier starts is never continued, but the next name must sort after it.
        self._last = max((name for name in os.listdir(self._directory) if _is_ours(name)), default="")
        self._current = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def append(self, lines: Sequence[bytes]) -> None:
        """Appends whole lines, all of them or none.

        Args:
            lines: elements of one or several lines, each line with its line feed.

        Raises:
            DeliveryError: they cannot be written; no part of them stays.
        """
        data = b"".join(lines)
        if self._fd < 0 or self._is_full():
            self._begin_file()
        try:
            write_all(self._fd, data)
            if self._settings.fsync == "always":
                os.fdatasync(self._fd)
        except OSError as error:
            self._cut()
            raise delivery_error("write", self._path, error) from error
        self._size += len(data)
        self._unsynced_since = self._unsynced_since or time.monotonic()

    def put_aside(self, pieces: Sequence[bytes]) -> None:
        """Appends pieces of lines to a file that people can look at.

        Raises:
            DeliveryError: they cannot be written.
        """
        # In a folder of its own, whose files a stream does not read.
        path = os.path.join(self._directory, TORN, dt.datetime.now(dt.UTC).strftime("%Y%m%d"))
        try:
            make_private_directory(os.path.dirname(path))
            fd = os.open(path, _TORN, self._settings.file_mode)
            try:
                write_all(fd, b"".join(pieces))
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise delivery_error("write", path, error) from error

    def tick(self) -> None:
        """Does what is due by time: forces data to the disk, finishes an old file, deletes expired files.

        Raises:
            DeliveryError: written data cannot be forced to the disk.
        """
        now = time.monotonic()
        if self._fd >= 0 and self._size and self._is_full():
            self._finish_file()
        if self._settings.fsync != "none" and self._unsynced_since and now - self._unsynced_since >= _SYNC_SECS:
            self._sync()
        if self._settings.keep and now >= self._next_deletion:
            self._next_deletion = now + _DELETE_SECS
            self._delete_old()

    def close(self) -> None:
        """Finishes the current file and releases the spool for another process; may be called again."""
        try:
            self._finish_file()
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    @property
    def _path(self) -> str:
        return os.path.join(self._directory, self._current)

    def _is_full(self) -> bool:
        old = time.monotonic() - self._begun >= self._settings.rotate_interval
        return self._size >= self._settings.rotate_size or old

    def _begin_file(self) -> None:
        self._finish_file()
        moment = dt.datetime.now(dt.UTC)
        # Names keep their order also when the clock was set back.
        if self._last:
            last = dt.datetime.strptime(self._last.removesuffix(SUFFIX), _FORM).replace(tzinfo=dt.UTC)
            moment = max(moment, last + _MICROSECOND)
        self._current = moment.strftime(_FORM) + SUFFIX
        try:
            self._fd = os.open(self._path, _CREATE, self._settings.file_mode)
            self._last, self._size, self._begun = self._current, 0, time.monotonic()
            # A new file survives a power failure only if its directory's entry is on the disk, too.
            if self._settings.fsync != "none":
                sync_directory(self._directory)
        except OSError as error:
            raise delivery_error("open", self._path, error) from error

    def _finish_file(self) -> None:
        if self._fd < 0:
            return
        try:
            if self._settings.fsync != "none":
                self._sync()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _sync(self) -> None:
        """Forces written data to the disk."""
        # Reset before the call, so that a failure is not tried again: the kernel may have dropped the data, and a
        # second fsync would report success.
        waited, self._unsynced_since = self._unsynced_since, 0.0
        if self._fd >= 0 and waited:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise delivery_error("fsync", self._path, error) from error

    def _cut(self) -> None:
        """Removes what a failed write left in the file."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # Then the next line starts a new file, so that nothing is glued to the piece.
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _delete_old(self) -> None:
        oldest = time.time() - self._settings.keep
        for name in os.listdir(self._directory):
            if _is_ours(name) and (name != self._current or self._fd < 0):
                path = os.path.join(self._directory, name)
                # Whoever processes the files may delete them at the same time.
                with contextlib.suppress(FileNotFoundError):
                    if os.lstat(path).st_mtime < oldest:
                        os.unlink(path)


def _is_ours(name: str) -> bool:
    return name.endswith(SUFFIX) and _NAME.match(name.removesuffix(SUFFIX)) is not None


def _locked(directory: str) -> int:
    """Descriptor of the lock file; the lock is held while it is open."""
    try:
        make_private_directory(directory)
    except OSError as error:
        raise delivery_error("mkdir", directory, error) from error
    path = os.path.join(directory, _LOCK)
    try:
        fd = take_lock(path)
    except OSError as error:
        raise delivery_error("open", path, error) from error
    if fd is None:
        message = f"another collector writes to {directory} (stop it, or give this one another --spool)"
        raise DeliveryError(message, directory)
    return fd
