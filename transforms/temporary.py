"""Temporary folders and files that do not outlive their process for long, however it ends.

A process that is killed cannot remove what it made. So each temporary folder and file is locked (`flock`) by its maker
for as long as it is in use; the lock ends with the process. Whoever makes the next one beside it removes those that
nobody has locked, if they have the name of one and belong to the same user.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from types import TracebackType
from typing import Final, Self

__all__ = ["TemporaryFolder", "remove_folder", "replace_file"]

_PREFIX: Final = "dovebeam-"
_SUFFIX: Final = ".locked"  # version 0.1.0 had none, and no locks; what it left may be in use
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TOKEN_BYTES: Final = 8
_MAX_NAME_CHARS: Final = 100
_MAX_TRIES: Final = 100

_swept: Final[set[tuple[int, int, str]]] = set()


class TemporaryFolder:
    """A new folder of mode 0700; removed with all that is in it by `close`, or by the next one after a kill.

    A context manager that gives the path.

    Args:
        kind: a word for its name.
        parent: where it is made; by default where temporary files go.

    Attributes:
        path: of the folder, absolute.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, kind: str = "run", parent: str | None = None) -> None:
        parent = os.path.abspath(parent or tempfile.gettempdir())
        _sweep_folders(parent)
        for _ in range(_MAX_TRIES):
            self.path = tempfile.mkdtemp(_SUFFIX, f"{_PREFIX}{kind}-", parent)
            self._fd = os.open(self.path, _FOLDER)
            if _is_ours(self._fd, self.path):
                return
            os.close(self._fd)  # another process took it for one that was left behind
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), parent)

    def close(self) -> None:
        """Removes it; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(fd)

    def __enter__(self) -> str:
        return self.path

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()


def remove_folder(path: str) -> None:
    """Removes a `TemporaryFolder` of another process, which is gone; does nothing about any other folder."""
    if _is_named_so(os.path.basename(path)):
        shutil.rmtree(path, ignore_errors=True)


def replace_file(name: str, content: bytes, mode: int, folder: int | None = None, *, is_exact: bool = False) -> None:
    """Writes a file so that readers see the old one or the whole new one, also after a power failure.

    Args:
        name: its path, or its name in `folder`.
        content: all of it.
        mode: of a new file, before the umask.
        folder: descriptor of its directory.
        is_exact: whether the umask is not to lessen the mode.

    Raises:
        OSError: it cannot be written; what was there is as before.
    """
    place, last = os.path.split(name)
    start = f".{last[:_MAX_NAME_CHARS]}."
    with _Directory(place, folder) as directory:
        _sweep_files(directory.fd, start)
        fd, temporary = _new_file(directory.fd, start, mode)
        try:
            with open(fd, "wb") as file:
                if is_exact:
                    os.fchmod(fd, mode)
                file.write(content)
                file.flush()
                os.fsync(fd)
                os.rename(temporary, last, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory.fd)
            raise
        with contextlib.suppress(OSError):  # some file systems cannot; the file itself is safe
            os.fsync(directory.fd)


class _Directory:
    """The directory of a file, opened if it is not given."""

    def __init__(self, path: str, fd: int | None) -> None:
        self._own = fd is None
        self.fd = _open_directory(path or ".") if fd is None else fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._own:
            os.close(self.fd)


def _open_directory(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # files may be made in a directory that may not be listed
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _new_file(folder: int, start: str, mode: int) -> tuple[int, str]:
    for _ in range(_MAX_TRIES):
        name = f"{start}{secrets.token_hex(_TOKEN_BYTES)}"
        fd = os.open(name, _NEW, mode, dir_fd=folder)
        if _is_ours(fd, name, folder):
            return fd, name
        os.close(fd)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), start)


def _is_named_so(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _sweep_folders(parent: str) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _is_named_so(entry.name):
                with _abandoned(entry.path, _FOLDER) as is_abandoned:
                    if is_abandoned:
                        shutil.rmtree(entry.path, ignore_errors=True)


def _sweep_files(folder: int, start: str) -> None:
    """Removes what is left of earlier writers of this file; once in a process, since directories can be large."""
    status = os.fstat(folder)
    key = status.st_dev, status.st_ino, start
    if key in _swept:
        return
    _swept.add(key)
    temporary = re.compile(rf"{re.escape(start)}[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
    with contextlib.suppress(OSError):
        # By a descriptor of its own, since listing moves the place that all copies of one share.
        listed = os.open(".", _FOLDER, dir_fd=folder)
        try:
            names = os.listdir(listed)
        finally:
            os.close(listed)
        for name in names:
            if temporary.fullmatch(name):
                with _abandoned(name, _FILE, folder) as is_abandoned, contextlib.suppress(OSError):
                    if is_abandoned:
                        os.unlink(name, dir_fd=folder)


class _abandoned:  # noqa: N801  used like a function
    """Whether what has this name is the user's own and locked by nobody; locked within the block, then."""

    def __init__(self, name: str, flags: int, folder: int | None = None) -> None:
        self._name, self._flags, self._folder = name, flags, folder
        self._fd = -1

    def __enter__(self) -> bool:
        with contextlib.suppress(OSError):
            self._fd = os.open(self._name, self._flags, dir_fd=self._folder)
            status = os.fstat(self._fd)
            is_kind = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
            if is_kind and status.st_uid == os.geteuid():
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return _is_at(self._fd, self._name, self._folder)
        return False

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _is_ours(fd: int, name: str, folder: int | None = None) -> bool:
    """Locks what was just made; false if another process was quicker and takes it for left behind.

    Where the file system has no locks, nobody else gets one either, and so nothing is removed.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return _is_at(fd, name, folder)


def _is_at(fd: int, name: str, folder: int | None) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False
