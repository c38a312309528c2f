"""Files of this machine that last, and their locks: for all that keeps something in a directory.

A lock is `flock` on a file: one process at a time has it, and it ends with that process, however it ends. A file is
replaced by renaming a whole new one, so that readers see the old content or the new one, also after a power failure.
What a writer leaves that is killed meanwhile is locked by no one any more, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Final

__all__ = [
    "NO_LOCKS",
    "TemporaryFolder",
    "abandoned",
    "file_url_path",
    "is_at",
    "is_ours",
    "is_url",
    "make_private_directory",
    "open_new",
    "remove_folder",
    "replace_file",
    "sync_directory",
    "take_lock",
    "write_all",
    "write_new",
]


NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of `take_lock` on a file system that has no locks."""

_NO_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EROFS})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK: Final = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TOKEN_BYTES: Final = 8
_MAX_NAME_CHARS: Final = 100
_MAX_TRIES: Final = 100

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

_swept: Final[set[tuple[int, int, str]]] = set()


def is_url(place: str) -> bool:
    r"""Whether a place is a URL, such as `gs://BUCKET/OBJECT`, and not a path of this machine.

    A URL begins with a scheme and `://` (RFC 3986, and so do Beam's file systems find them). All else is a path: `-`, a
    relative one, `C:\x`, and one in which `://` stands later. `file:///x` is a URL, though no store has it.
    """
    return _URL.match(place) is not None


def file_url_path(place: str) -> str:
    """The path that a `file://` URL of this machine means; empty for anything else."""
    found = _URL.match(place)
    path = place[found.end() :].removeprefix("localhost") if found and found[1].lower() == "file" else ""
    return path if path.startswith("/") else ""


def open_new(name: str, mode: int, folder: int | None = None) -> int:
    """Makes a file, never through a symbolic link; returns its descriptor, for writing.

    Args:
        name: its path, or its name in `folder`.
        mode: its mode, reduced by the umask.
        folder: descriptor of its directory.

    Raises:
        FileExistsError: something has the name.
        OSError: it cannot be made.
    """
    return os.open(name, _NEW, mode, dir_fd=folder)


def write_new(name: str, content: bytes, mode: int, folder: int | None = None) -> None:
    """Makes a file whose content is on the disk afterwards; its name is with `sync_directory`. Args: see `open_new`.

    Raises:
        OSError: it cannot be made or written; a part of it may be there.
    """
    with open(open_new(name, mode, folder), "wb") as file:
        _write_out(file.fileno(), content)


def replace_file(name: str, content: bytes, mode: int, folder: int | None = None, *, is_exact: bool = False) -> None:
    """Writes a file so that readers see the old one or the whole new one, also after a power failure.

    Args:
        name: its path, or its name in `folder`.
        content: all of it.
        mode: of the new file, reduced by the umask.
        folder: descriptor of its directory.
        is_exact: whether the umask is not to lessen the mode.

    Raises:
        OSError: it cannot be written, and what was there is as before; or the disk fails when the new name is to last.
    """
    place, last = os.path.split(name)
    start = f".{last[:_MAX_NAME_CHARS]}."
    with _opened(place, folder) as directory:
        _sweep(directory, start)
        fd, temporary = _new_file(directory, start, mode)
        try:
            with open(fd, "wb") as file:
                if is_exact:
                    os.fchmod(fd, mode)
                _write_out(file.fileno(), content)
                os.rename(temporary, last, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        sync_directory(directory)


def sync_directory(directory: str | int) -> None:
    """Makes the names in a directory last over a power failure, where its file system can and it may be listed.

    Args:
        directory: its path or descriptor, which may have been opened only to enter it.

    Raises:
        OSError: the disk fails.
    """
    try:
        fd = (
            os.open(directory or ".", _FOLDER)
            if isinstance(directory, str)
            else os.open(".", _FOLDER, dir_fd=directory)
        )
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(fd)


def make_private_directory(path: str) -> None:
    """Makes a directory that only this user may enter, if it is missing; its parent must exist.

    Raises:
        OSError: it cannot be made.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    sync_directory(os.path.dirname(path))


def take_lock(name: str, folder: int | None = None) -> int | None:
    """Takes the lock of a file, which is made if it is missing; whoever has it may remove the file.

    Args:
        name: its path, or its name in `folder`.
        folder: descriptor of its directory.

    Returns:
        The descriptor that holds the lock until it is closed; None if another process has it.

    Raises:
        OSError: the file cannot be opened or locked; with a number of `NO_LOCKS`, if there are no locks.
    """
    while True:
        fd = os.open(name, _LOCK, 0o600, dir_fd=folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(fd, name, folder):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its holder removed it between our two calls


def is_ours(fd: int, name: str, folder: int | None = None) -> bool:
    """Locks what was just made; false if another process was quicker and takes it for left behind.

    Where the file system has no locks, no one else gets one either, and so nothing is removed.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return is_at(fd, name, folder)


def is_at(fd: int, name: str, folder: int | None = None) -> bool:
    """Whether a name is still that of an open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def abandoned(name: str, folder: int | None = None) -> Iterator[bool]:
    """Whether a file or directory is the user's own and locked by no one; locked within the block, then."""
    fd = -1
    try:
        with contextlib.suppress(OSError):
            fd = os.open(name, _LEFT, dir_fd=folder)
        yield fd >= 0 and _is_left(fd, name, folder)
    finally:
        if fd >= 0:
            os.close(fd)


def _is_left(fd: int, name: str, folder: int | None) -> bool:
    status = os.fstat(fd)
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)) or status.st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return is_at(fd, name, folder)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of the data.

    Raises:
        OSError: it cannot be written; a part of it may be.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _write_out(fd: int, content: bytes) -> None:
    write_all(fd, content)
    os.fsync(fd)


@contextlib.contextmanager
def _opened(path: str, folder: int | None) -> Iterator[int]:
    """The directory of a file, opened if it is not given."""
    if folder is not None:
        yield folder
        return
    try:
        fd = os.open(path or ".", _FOLDER)
    except PermissionError:  # files may be made in a directory that may not be listed
        fd = os.open(path or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _new_file(folder: int, start: str, mode: int) -> tuple[int, str]:
    for _ in range(_MAX_TRIES):
        name = f"{start}{os.urandom(_TOKEN_BYTES).hex()}"
        fd = open_new(name, mode, folder)
        if is_ours(fd, name, folder):
            return fd, name
        os.close(fd)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), start)


def _sweep(folder: int, start: str) -> None:
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
        for name in filter(temporary.fullmatch, names):
            with abandoned(name, folder) as is_left, contextlib.suppress(OSError):
                if is_left:
                    os.unlink(name, dir_fd=folder)


# Temporary folders that do not outlive their process for long, however it ends.
#
# A process that is killed cannot remove what it made. So each temporary folder is locked by its maker for as long as
# it is in use. Whoever makes the next one beside it removes those that no one has locked, if they have the name of one
# and belong to the same user.

_PREFIX: Final = "dovebeam-"
_SUFFIX: Final = ".locked"  # version 0.1.0 had none, and no locks; what it left may be in use
_TEMPORARY_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
        import tempfile  # noqa: PLC0415  is more than all else that a configuration loads of the standard library

        parent = os.path.abspath(parent or tempfile.gettempdir())
        _sweep_folders(parent)
        for _ in range(_MAX_TRIES):
            self.path = tempfile.mkdtemp(_SUFFIX, f"{_PREFIX}{kind}-", parent)
            self._fd = os.open(self.path, _TEMPORARY_FOLDER)
            if is_ours(self._fd, self.path):
                return
            os.close(self._fd)  # another process took it for one that was left behind
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), parent)

    def close(self) -> None:
        """Removes it; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _remove_tree(self.path)
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
        _remove_tree(path)


def _remove_tree(path: str) -> None:
    import shutil  # noqa: PLC0415  see `TemporaryFolder`

    shutil.rmtree(path, ignore_errors=True)


def _is_named_so(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _sweep_folders(parent: str) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _is_named_so(entry.name) and entry.is_dir(follow_symlinks=False):
                with abandoned(entry.path) as is_left:
                    if is_left:
                        _remove_tree(entry.path)
