"""Directories below a base, entered name by name so that nothing that was planted on the way leads out of it.

The base is the operator's, and links in its own path are followed. Below it every name is opened relative to the
directory before it and never through a symbolic link, so the check and the use are one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

__all__ = ["entered", "is_link"]

# O_PATH asks for no permission to list the directory, as opening a file in it does not.
_ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def entered(base: str, path: str, mode: int | None) -> Iterator[tuple[int, str]]:
    """The descriptor of the directory of a file, and the file's name in it; missing directories may be made.

    Args:
        base: must exist.
        path: of the file, relative to the base.
        mode: of directories that are made, lessened by the umask; None makes none.

    Raises:
        OSError: a directory is missing, a link or no directory, or cannot be made or entered.
    """
    *folders, name = path.split("/")
    for each in (*folders, name):
        if each in {"", ".", ".."} or "\0" in each:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fd = os.open(base, _ENTER)
    try:
        for folder in folders:
            inner = _enter(fd, folder, mode)
            os.close(fd)
            fd = inner
        yield fd, name
    finally:
        os.close(fd)


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
