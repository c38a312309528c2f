"""Files on the level of system calls: one that is open for appending, and the safe way through directories to it.

`OpenFile` knows the file's lock and end, and writes the whole of a batch or takes it back. `entered` opens the
directory of a file below a base. Rules from Dovecot's sections "Opening a file" and "Writing": append mode, never
through a symbolic link, no fsync.
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


# Dovecot's flags, and O_NONBLOCK so that a FIFO without a reader is an error instead of waiting forever. It is cleared
# after opening: writing waits for a reader that is slow.
_APPEND: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
# Longer than any batch takes: a lock that is held for so long belongs to a program that keeps it.
_LOCK_WAIT_SECS: Final = 5.0
# What file systems answer to LOCK_NB; any other error means that this one has no locks.
_HELD_BY_ANOTHER: Final = frozenset({errno.EAGAIN, errno.EACCES})
_RANDOM: Final = random.SystemRandom()  # leaves the state of the process alone, as in backoff


class OpenFile:
    """A file that is open for appending. All methods raise `OSError`.

    Attributes:
        is_regular: False for a FIFO or a device, which have neither lock nor end.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        found = os.fstat(fd)
        self.is_regular = stat.S_ISREG(found.st_mode)
        self._identity = found.st_dev, found.st_ino
        # The size after this object's last write, where the file is known to end well; -1 if nothing is known.
        self._known_end = 0 if found.st_size == 0 else -1

    @classmethod
    def open(cls, folder: int, name: str, mode: int) -> Self:
        """Opens a file in a directory, and creates it if it does not exist."""
        fd = os.open(name, _APPEND, mode, dir_fd=folder)
        try:
            os.set_blocking(fd, True)
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    def is_at(self, folder: int, name: str) -> bool:
        """Whether the name in the directory is still that of this file, which was not moved, removed or replaced."""
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
        """Holds the file's advisory lock; yields False, and goes on as Dovecot does, if it cannot be locked."""
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
        # No one else has written since: what this object wrote last ends in a newline.
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
        # What this object has written is known to be whole, so only what others added has to be looked at.
        start = self._known_end if 0 <= self._known_end < size else 0
        with self._reader(folder, name) as reader:
            end = whole_end(lambda at, count: os.pread(reader, count, at), start, size, compression)
        if end < size:
            if not locked:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            os.ftruncate(self._fd, end)

    def write(self, data: bytes, *, may_truncate: bool) -> None:
        """Appends all of the data; if that fails, what was written is taken back.

        Args:
            data: whole lines; normally one system call writes all of them.
            may_truncate: whether the lock is held, so that no other process of dovebeam is appending.
        """
        rest = memoryview(data)
        start = -1
        try:
            while rest:
                count = os.write(self._fd, rest)
                # As Dovecot counts it; without this the loop would never end.
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                # Only a short write can need taking back. In append mode the position after it, and not the size
                # before it, tells where it went.
                if count < len(rest) and start < 0:
                    start = os.lseek(self._fd, 0, os.SEEK_CUR) - count if may_truncate else -1
                rest = rest[count:]
        except BaseException:
            if start >= 0:
                self._take_back(start, len(data) - len(rest))
            raise
        if self.is_regular:
            self._known_end = os.lseek(self._fd, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Closes the file, once; the system may report only now that something could not be written."""
        if self._fd >= 0:
            # Forgotten first: after an error of close(2) the number may already belong to another file.
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _lock(self) -> bool:
        # Polled, since a blocking flock could wait forever for a program that keeps the lock.
        give_up = time.monotonic() + _LOCK_WAIT_SECS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD_BY_ANOTHER or time.monotonic() > give_up:
                    return False
                time.sleep(_RANDOM.uniform(0.0002, 0.002))  # spreads the waiting processes
            else:
                return True

    def _take_back(self, start: int, written: int) -> None:
        """Removes the part of a batch that was written, unless another program appended within or after it.

        Connections of dovebeam cannot, since this one holds the lock; the sizes tell of all others.
        """
        # An error here is suppressed because a more important one, that of the write, is being raised.
        with contextlib.suppress(OSError):
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if end - start == written and self.size == end:
                os.ftruncate(self._fd, start)

    @contextlib.contextmanager
    def _reader(self, folder: int, name: str) -> Iterator[int]:
        """A descriptor that can read the file, which is open for writing only, as Dovecot opens it."""
        reader = os.open(name, _READ, dir_fd=folder)
        try:
            # The name may lead to another file since this one was opened.
            if not os.path.sameopenfile(reader, self._fd):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            yield reader
        finally:
            os.close(reader)


# Directories below a base, entered name by name, so that no symbolic link that was planted there leads out of it.
#
# The operator chose the base, and links in its own path are followed. Below it every name is opened relative to the
# directory before it and never through a symbolic link, so the check and the use are one.

OWN_DIRECTORY: Final = ".dovebeam"
"""Directory of dovebeam's own files beside those of an exporter; no name that is made of an event starts with a dot."""

# O_PATH asks for no permission to list the directory, as opening a file in it does not.
_ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def entered(base: str, path: str, mode: int | None) -> Iterator[tuple[int, str]]:
    """Opens the directory of a file; yields its descriptor and the file's name in it.

    The directory of dovebeam's own files, `.dovebeam`, must have been made by this user, by the owner of the base or
    by root: where several users may write, another one could read or replace what is in it.

    Args:
        base: must exist.
        path: of the file, relative to the base.
        mode: of directories that are created, reduced by the umask; None creates none.

    Raises:
        OSError: a directory is missing, a link or not a directory, or cannot be created or entered.
        DeliveryError: `.dovebeam` belongs to another user.
    """
    *folders, name = path.split("/")
    # Names made of events never are these; a program that gives paths of its own may.
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
        # O_NOFOLLOW with O_DIRECTORY says ENOTDIR of a link; ELOOP leads to the advice for links.
        if is_link(fd, name):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def is_link(fd: int, name: str) -> bool:
    """Whether a name in a directory is a symbolic link."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False
