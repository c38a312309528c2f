"""A lock file: held by one process at a time, and free again when that one ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["take_lock"]

_FLAGS: Final = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def take_lock(path: str) -> int | None:
    """The descriptor that holds the lock, or None if another process has it. A holder may remove the file.

    Raises:
        DeliveryError: the file cannot be opened or locked.
    """
    while True:
        try:
            fd = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise delivery_error("open", path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno == errno.EWOULDBLOCK:
                return None
            raise delivery_error("flock", path, error) from error
        if _is_at(fd, path):
            return fd
        os.close(fd)  # its holder removed it between our two calls


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
