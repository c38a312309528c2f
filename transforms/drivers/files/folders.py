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

from dovebeam.transforms.errors import DeliveryError

__all__ = ["OWN_DIRECTORY", "entered", "is_link"]

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
