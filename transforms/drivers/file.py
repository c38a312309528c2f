"""The `file` driver: one line per event, appended.

Rules from Dovecot's section "Export drivers", "Opening a file" and "Writing": opened for the first batch, never through
a symbolic link, mode 0600, no directory made, no fsync, no rotation. What Dovecot loses when a write fails is kept
here: the error is raised, and the file is put back to the end of its last whole line.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, cast

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, DriverName, Failure
from dovebeam.transforms.drivers.files.routing import PathRouter
from dovebeam.transforms.drivers.files.settings import check_file_settings
from dovebeam.transforms.drivers.system_errors import check_path, delivery_error

__all__ = ["FileConnection", "FileDriver"]

# O_NONBLOCK only so that a FIFO without a reader is an error instead of waiting for ever; it is cleared after opening.
_FLAGS: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_MODE: Final = 0o600
_LOCK_WAIT_SECS: Final = 5.0
_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES})


@dataclass(frozen=True, slots=True)
class FileDriver(Driver):
    r"""Appends each payload and a newline to a file.

    Attributes:
        file_path: `event_exporter_file_path`; relative to the worker's directory. With a template it is the directory
            below which the files are.
        file_writing: "append" as Dovecot does, or "shards": files that are complete and named when a job ends.
        file_path_template: name of each event's file below the directory; empty for one file.
        file_missing_field: what becomes of an event without a field of the template: "reject" or "fallback".
        file_field_fallback: what stands in the name for a missing field.
        file_rotate_size: bytes after which a file is full; 0 or None for no limit.
        file_rotate_interval_msec: length of the windows of event time that have files of their own; 0 or None for none.
        file_compression: "none", "gzip" or "zstd".
        file_permissions: octal mode of new files, lessened by the umask.
        file_max_open: how many files at most one connection holds open.

    Parallelism: any number of connections and processes may append to one file on one machine; each batch is one
    `write` in append mode, and connections of dovebeam take turns by an advisory lock (`flock`), so lines stay whole
    and the lines of a batch stay together and in order. Over NFS, where appends can overwrite each other, use one
    process.

    Delivery: at least once into the kernel's hands; not flushed to the disk, as in Dovecot. A batch that cannot be
    written whole raises `DeliveryError` and is taken back out of the file, so that sending it again makes no
    duplicates; if another program appended meanwhile, nothing is taken back, and the next batch begins on a fresh line.
    The same holds for a torn line that a killed process left at the end of the file.
    """

    file_path: str
    file_writing: str = "append"
    file_path_template: str = ""
    file_missing_field: str = "reject"
    file_field_fallback: str = "unknown"
    file_rotate_size: int | None = 0
    file_rotate_interval_msec: int | None = 0
    file_compression: str = "none"
    file_permissions: str = "0600"
    file_max_open: int = 100

    name: ClassVar[DriverName] = "file"

    def __post_init__(self) -> None:
        check_path("event_exporter_file_path", self.file_path)
        check_file_settings(self)

    @property
    def base(self) -> str:
        """The directory below which all files are; it is never made, and links in its own path are followed."""
        return self.file_path if self.file_path_template else os.path.dirname(self.file_path) or "."

    @property
    def default_path(self) -> str:
        """The file of all events, relative to `base`, where there is no router."""
        return os.path.basename(self.file_path)

    @property
    def rotate_size(self) -> int:
        """Bytes after which a file is full, 0 for no limit."""
        return self.file_rotate_size or 0

    @property
    def rotate_interval_secs(self) -> int:
        """Length of the windows of event time, 0 for none."""
        return (self.file_rotate_interval_msec or 0) // 1000

    @property
    def mode(self) -> int:
        """Mode bits of new files."""
        return int(self.file_permissions, 8)

    @property
    def directory_mode(self) -> int:
        """Mode bits of new directories: whoever may read or write the files may enter."""
        return self.mode | (self.mode & 0o444) >> 2 | (self.mode & 0o222) >> 1

    def router(self) -> PathRouter | None:
        """What finds each event's file below `base`; None if there is but one.

        Paths have neither the suffix of a compression nor the number of a full file yet.
        """
        window, template = self.rotate_interval_secs, self.file_path_template
        if not template and not window:
            return None
        missing = cast(Literal["reject", "fallback"], self.file_missing_field)
        return PathRouter(template or self.default_path, not template, window, missing, self.file_field_fallback)

    @property
    def endpoint(self) -> str:
        """The path."""
        return self.file_path

    def open(self) -> FileConnection:
        """A connection that opens the file when the first batch comes."""
        return FileConnection(self.file_path)


class FileConnection(Connection):
    """The open file."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._fd = -1
        self._regular = False

    def _deliver(self, batch: Batch) -> list[Failure]:
        lines = b"\n".join([*batch.payloads, b""])
        try:
            first = self._fd < 0
            if first:
                self._open()
            with self._turn() as locked:
                if first and self._regular and self._ends_inside_a_line():
                    lines = b"\n" + lines
                self._append(lines, may_truncate=locked and self._regular)
        except BaseException:
            # What is left may be torn; opening again looks at the end of the file.
            self._drop_descriptor()
            raise
        return []

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, _FLAGS, _MODE)
            os.set_blocking(self._fd, True)
            self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        except OSError as error:
            raise delivery_error("open", self._path, error) from error

    @contextlib.contextmanager
    def _turn(self) -> Iterator[bool]:
        """Holds the file's advisory lock; gives False, and goes on as Dovecot does, if there is none to be had."""
        locked = self._regular and self._lock()
        try:
            yield locked
        finally:
            if locked and self._fd >= 0:
                with contextlib.suppress(OSError):
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        give_up = time.monotonic() + _LOCK_WAIT_SECS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD_BY_ANOTHER or time.monotonic() > give_up:
                    return False
                time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311  spreads the waiting processes, no secret
            else:
                return True

    def _append(self, lines: bytes, *, may_truncate: bool) -> None:
        rest = memoryview(lines)
        begin = -1
        try:
            while rest:
                count = os.write(self._fd, rest)
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if count < len(rest) and begin < 0:
                    begin = os.lseek(self._fd, 0, os.SEEK_CUR) - count if may_truncate else -1
                rest = rest[count:]
        except BaseException as error:
            if begin >= 0:
                self._take_back(begin, len(lines) - len(rest))
            if isinstance(error, OSError):
                raise delivery_error("write", self._path, error) from error
            raise

    def _take_back(self, begin: int, written: int) -> None:
        """Removes the part of a batch that was written, unless somebody appended within or after it.

        Connections of dovebeam cannot, since this one holds the lock; the sizes tell of everybody else.
        """
        with contextlib.suppress(OSError):
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if end - begin == written and os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, begin)

    def _ends_inside_a_line(self) -> bool:
        """Whether the file ends without a newline; False if it may not be read."""
        try:
            reader = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            size = os.fstat(reader).st_size
            same = os.path.sameopenfile(reader, self._fd)
            return same and size > 0 and os.pread(reader, 1, size - 1) != b"\n"
        except OSError:
            return False
        finally:
            os.close(reader)

    def _drop_descriptor(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                os.close(fd)

    def _release(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.close(fd)
            except OSError as error:
                raise delivery_error("close", self._path, error) from error
