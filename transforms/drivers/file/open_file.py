"""One file that is open for appending: its lock, its end, and writes that are whole or taken back.

Rules from Dovecot's sections "Opening a file" and "Writing": append mode, never through a symbolic link, no fsync.
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
from typing import Final, Self

from dovebeam.transforms.drivers.file.compression import whole_end
from dovebeam.transforms.errors import DeliveryError

__all__ = ["OpenFile", "entered"]


# O_NONBLOCK only so that a FIFO without a reader is an error instead of waiting for ever; it is cleared after opening.
_FLAGS: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_LOCK_WAIT_SECS: Final = 5.0
_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES})


class OpenFile:
    """The descriptor of a file, and what is known about it. All methods raise `OSError`.

    Attributes:
        is_regular: False for a FIFO or a device, which have neither lock nor end.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        found = os.fstat(fd)
        self.is_regular = stat.S_ISREG(found.st_mode)
        self._identity = found.st_dev, found.st_ino
        self._known_end = 0 if found.st_size == 0 else -1

    @classmethod
    def open(cls, folder: int, name: str, mode: int) -> Self:
        """Opens a file in a directory, and makes it if there is none."""
        fd = os.open(name, _FLAGS, mode, dir_fd=folder)
        try:
            os.set_blocking(fd, True)
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    def is_at(self, folder: int, name: str) -> bool:
        """Whether the name in the directory is still this file's: it was neither moved nor removed nor replaced."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Holds the file's advisory lock; gives False, and goes on as Dovecot does, if there is none to be had."""
        locked = self.is_regular and self._lock()
        try:
            yield locked
        finally:
            if locked and self._fd >= 0:
                with contextlib.suppress(OSError):
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def ends_inside_a_line(self, folder: int, name: str) -> bool:
        """Whether the file ends without a newline, as a killed process leaves it; False if it may not be read."""
        size = self.size
        if size in {0, self._known_end}:
            return False
        try:
            with self._reader(folder, name) as reader:
                return os.pread(reader, 1, size - 1) != b"\n"
        except OSError:
            return False

    def cut_torn_end(self, folder: int, name: str, compression: str, *, locked: bool) -> None:
        """Removes the part of a member or frame at the end, which a process that was killed left there.

        Raises:
            DamagedError: the file holds something else.
            OSError: EBUSY, if another program has the lock: the torn part may be what it writes.
        """
        size = self.size
        if size in {0, self._known_end}:
            return
        begin = self._known_end if 0 <= self._known_end < size else 0
        with self._reader(folder, name) as reader:
            end = whole_end(lambda at, count: os.pread(reader, count, at), begin, size, compression)
        if end < size:
            if not locked:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            os.ftruncate(self._fd, end)

    def write(self, data: bytes, *, may_truncate: bool) -> None:
        """Appends all of the data; if that fails, what was written is taken back.

        Args:
            data: at best written by one system call.
            may_truncate: whether nobody else can be appending.
        """
        rest = memoryview(data)
        begin = -1
        try:
            while rest:
                count = os.write(self._fd, rest)
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if count < len(rest) and begin < 0:
                    begin = os.lseek(self._fd, 0, os.SEEK_CUR) - count if may_truncate else -1
                rest = rest[count:]
        except BaseException:
            if begin >= 0:
                self._take_back(begin, len(data) - len(rest))
            raise
        if self.is_regular:
            self._known_end = os.lseek(self._fd, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Closes the file, once; the system may report only now that something could not be written."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

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

    def _take_back(self, begin: int, written: int) -> None:
        """Removes the part of a batch that was written, unless somebody appended within or after it.

        Connections of dovebeam cannot, since this one holds the lock; the sizes tell of everybody else.
        """
        with contextlib.suppress(OSError):
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if end - begin == written and self.size == end:
                os.ftruncate(self._fd, begin)

    @contextlib.contextmanager
    def _reader(self, folder: int, name: str) -> Iterator[int]:
        """A descriptor that can read the file, which is open for writing only, as Dovecot opens it."""
        reader = os.open(name, _READ, dir_fd=folder)
        try:
            if not os.path.sameopenfile(reader, self._fd):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            yield reader
        finally:
            os.close(reader)


# Directories below a base, entered name by name so that nothing that was planted on the way leads out of it.
#
# The base is the operator's, and links in its own path are followed. Below it every name is opened relative to the
# directory before it and never through a symbolic link, so the check and the use are one.

OWN_DIRECTORY: Final = ".dovebeam"
"""What dovebeam keeps beside the files of an exporter; no name that is made of an event begins with a dot."""

# O_PATH asks for no permission to list the directory, as opening a file in it does not.
_ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def entered(base: str, path: str, mode: int | None) -> Iterator[tuple[int, str]]:
    """The descriptor of the directory of a file, and the file's name in it; missing directories may be made.

    The directory for what dovebeam itself keeps, `.dovebeam`, must be one that it has made, or that whoever owns the
    base has made: in a place that several users may write, another one could read or replace what is in it.

    Args:
        base: must exist.
        path: of the file, relative to the base.
        mode: of directories that are made, lessened by the umask; None makes none.

    Raises:
        OSError: a directory is missing, a link or no directory, or cannot be made or entered.
        DeliveryError: `.dovebeam` belongs to another user.
    """
    *folders, name = path.split("/")
    for each in (*folders, name):
        if each in {"", ".", ".."} or "\0" in each:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fd = os.open(base, _ENTER)
    try:
        for folder in folders:
            inner = _enter(fd, folder, mode)
            outer, fd = fd, inner
            try:
                if folder == OWN_DIRECTORY:
                    _check_owner(outer, fd, base)
            finally:
                os.close(outer)
        yield fd, name
    finally:
        os.close(fd)


def _check_owner(base: int, own: int, path: str) -> None:
    owner, trusted = os.fstat(own).st_uid, {os.geteuid(), os.fstat(base).st_uid, 0}
    if owner not in trusted:
        where = os.path.join(path, OWN_DIRECTORY)
        raise DeliveryError(
            f"{where} belongs to another user (uid {owner}), who could read or replace what is kept in it; remove it, "
            "or choose a directory where only trusted users may write",
            where,
        )


def _enter(fd: int, name: str, mode: int | None) -> int:
    try:
        return os.open(name, _ENTER | os.O_NOFOLLOW, dir_fd=fd)
    except FileNotFoundError:
        if mode is None:
            raise
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.mkdir(name, mode, dir_fd=fd)
        return os.open(name, _ENTER | os.O_NOFOLLOW, dir_fd=fd)
    except NotADirectoryError:
        if is_link(fd, name):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def is_link(fd: int, name: str) -> bool:
    """Whether a name in a directory is a symbolic link."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False
