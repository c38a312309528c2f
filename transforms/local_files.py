"""Local files: durable writes, locks, temporary folders, and which texts are paths.

A lock is `flock` on a file: one process at a time has it, and it ends with that process, however it ends. A file is
replaced by renaming a whole new one, so that readers see the old content or the new one, also after a power failure.
A writer that is killed leaves a temporary file that no process has locked, and the next writer removes it. The same
holds for temporary folders.
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

# Answers of file systems that cannot sync a directory, such as some of FUSE.
_NO_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EROFS})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOCK: Final = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that has the name of a temporary file would hang.
_LEFT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TOKEN_BYTES: Final = 8
_MAX_NAME_CHARS: Final = 100  # of a name within a temporary one, which must stay below the usual limit of 255 bytes
_MAX_TRIES: Final = 100

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

# Device, inode and prefix of what this process has searched for temporary files of killed writers.
_swept: Final[set[tuple[int, int, str]]] = set()


def is_url(place: str) -> bool:
    r"""Whether a place is a URL, such as `gs://BUCKET/OBJECT`, and not a path of this machine.

    A URL begins with a scheme and `://` (RFC 3986, and so do Beam's file systems find them). All else is a path: `-`, a
    relative one, `C:\x`, and one in which `://` stands later. `file:///x` is a URL, though no store has it.
    """
    return _URL.match(place) is not None


def file_url_path(place: str) -> str:
    """Path of a `file://` URL of this machine; empty for anything else."""
    found = _URL.match(place)
    path = place[found.end() :].removeprefix("localhost") if found and found[1].lower() == "file" else ""
    return path if path.startswith("/") else ""


def open_new(name: str, mode: int, folder: int | None = None) -> int:
    """Creates a file, never through a symbolic link; returns its descriptor, for writing.

    Args:
        name: its path, or its name in `folder`.
        mode: its mode, reduced by the umask.
        folder: descriptor of its directory.

    Raises:
        FileExistsError: something has the name.
        OSError: it cannot be created.
    """
    return os.open(name, _NEW, mode, dir_fd=folder)


def write_new(name: str, content: bytes, mode: int, folder: int | None = None) -> None:
    """Creates a file and syncs its content; only `sync_directory` makes its name durable. Args: see `open_new`.

    Raises:
        OSError: it cannot be created or written; a part of it may be there.
    """
    with open(open_new(name, mode, folder), "wb") as file:
        _write_out(file.fileno(), content)


def replace_file(name: str, content: bytes, mode: int, folder: int | None = None, *, is_exact: bool = False) -> None:
    """Replaces a file so that readers see the old one or the whole new one, also after a power failure.

    Args:
        name: its path, or its name in `folder`.
        content: all of it.
        mode: of the new file, reduced by the umask.
        folder: descriptor of its directory.
        is_exact: whether the mode is used as it is, whatever the umask.

    Raises:
        OSError: it cannot be written, and the old file is as before; or the disk fails when the new name is synced.
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
                # Synced before it is renamed: else a power failure may leave the new name with no content. Renamed
                # while it is open, because closing it gives up the lock that keeps others from removing it.
                _write_out(file.fileno(), content)
                os.rename(temporary, last, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        sync_directory(directory)


def sync_directory(directory: str | int) -> None:
    """Makes the names in a directory durable, where its file system can do so and this user may list it.

    Args:
        directory: its path or descriptor, which may be opened with O_PATH.

    Raises:
        OSError: the disk fails.
    """
    # A descriptor of O_PATH cannot be synced, so the directory is always opened again.
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
    """Creates a directory of mode 0700, if it is missing; its parent must exist.

    Raises:
        OSError: it cannot be created.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    sync_directory(os.path.dirname(path))


def take_lock(name: str, folder: int | None = None) -> int | None:
    """Takes the lock of a file, which is created if it is missing; the holder may remove the file.

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
            # A lock on a file that its last holder has removed excludes no one; then the next file is tried.
            if is_at(fd, name, folder):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def is_ours(fd: int, name: str, folder: int | None = None) -> bool:
    """Locks a new file or folder; false if another process locked it first, to remove it as left behind."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # No locks on this file system: no other process gets one either, and so none removes anything.
    except OSError:
        return True
    return is_at(fd, name, folder)


def is_at(fd: int, name: str, folder: int | None = None) -> bool:
    """Whether a name still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def abandoned(name: str, folder: int | None = None) -> Iterator[bool]:
    """Whether a file or directory is this user's and no process has locked it; then it is locked within the block."""
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
        OSError: it cannot be written; a part of it may have been.
    """
    # One call of `write` may take only a part, as on a disk that is nearly full; the next one tells why.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _write_out(fd: int, content: bytes) -> None:
    write_all(fd, content)
    os.fsync(fd)


@contextlib.contextmanager
def _opened(path: str, folder: int | None) -> Iterator[int]:
    """Descriptor of a file's directory, which is opened if it is not given."""
    if folder is not None:
        yield folder
        return
    try:
        fd = os.open(path or ".", _FOLDER)
    except PermissionError:  # files may be created in a directory that may not be listed
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
    """Removes temporary files of killed writers of this file; once in a process, since directories can be large."""
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


# Temporary folders. A process that is killed cannot remove its own, so each one is locked while it is in use, and the
# next process that creates one beside it removes those of the same user that are not locked.

_PREFIX: Final = "dovebeam-"
_SUFFIX: Final = ".locked"  # folders of version 0.1.0 have neither it nor locks, and may be in use
_TEMPORARY_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TemporaryFolder:
    """A new folder of mode 0700, removed with its content by `close`, or after a kill by the next one.

    A context manager that gives the path.

    Args:
        kind: a word for its name.
        parent: its parent directory; by default that of temporary files.

    Attributes:
        path: of the folder, absolute.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, kind: str = "run", parent: str | None = None) -> None:
        import tempfile  # noqa: PLC0415  is more than all else that a configuration loads of the standard library

        parent = os.path.abspath(parent or tempfile.gettempdir())
        _sweep_folders(parent)
        for _ in range(_MAX_TRIES):
            self.path = tempfile.mkdtemp(_SUFFIX, f"{_PREFIX}{kind}-", parent)
            fd = _lock_folder(self.path)
            if fd is not None:
                self._fd = fd
                return
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), parent)

    def close(self) -> None:
        """Removes it; a second call does nothing."""
        fd, self._fd = self._fd, -1
        # The lock goes last, so that no other process removes the folder at the same time.
        if fd >= 0:
            _remove_tree(self.path)
            os.close(fd)

    def __enter__(self) -> str:
        return self.path

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()


def _lock_folder(path: str) -> int | None:
    """Descriptor that locks a new folder; None if another process took it first for one that was left behind."""
    try:
        fd = os.open(path, _TEMPORARY_FOLDER)
    except FileNotFoundError:
        return None
    if is_ours(fd, path):
        return fd
    os.close(fd)
    return None


def remove_folder(path: str) -> None:
    """Removes a `TemporaryFolder` of another process that has ended; does nothing if the name is not that of one."""
    if _is_temporary(os.path.basename(path)):
        _remove_tree(path)


def _remove_tree(path: str) -> None:
    import shutil  # noqa: PLC0415  see `TemporaryFolder`

    shutil.rmtree(path, ignore_errors=True)


def _is_temporary(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _sweep_folders(parent: str) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _is_temporary(entry.name) and entry.is_dir(follow_symlinks=False):
                with abandoned(entry.path) as is_left:
                    if is_left:
                        _remove_tree(entry.path)
