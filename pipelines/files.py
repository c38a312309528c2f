"""Files that the launching process itself writes, or makes sure that it could."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import Final

from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["check_appendable", "check_replaceable", "claim", "replace_file"]

_APPEND: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_CLAIM: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE: Final = 0o600
_BY_UMASK: Final = 0o666


def check_appendable(path: str) -> None:
    """Opens a file as the `file` driver will, and so makes it if there is none.

    Raises:
        DeliveryError: it cannot be appended to.
    """
    try:
        os.close(os.open(path, _APPEND, _PRIVATE))
    except OSError as error:
        raise delivery_error("open", path, error) from error


def claim(path: str) -> None:
    """Makes an empty file.

    Raises:
        FileExistsError: there is something of that name.
        DeliveryError: it cannot be made.
    """
    try:
        os.close(os.open(path, _CLAIM, _PRIVATE))
    except FileExistsError:
        raise
    except OSError as error:
        raise delivery_error("open", path, error) from error


def check_replaceable(path: str) -> None:
    """Makes sure that `replace_file` could write the file.

    Raises:
        DeliveryError: its directory does not exist or cannot be written, or the path is a directory.
    """
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = _temporary(path)
        os.close(os.open(temporary, _CLAIM, _PRIVATE))
        os.unlink(temporary)
    except OSError as error:
        raise delivery_error("open", path, error) from error


def replace_file(path: str, content: bytes) -> None:
    """Writes a file so that readers see the old one or the whole new one, also after a power failure.

    Raises:
        DeliveryError: it cannot be written; what was there is as before.
    """
    temporary = _temporary(path)
    try:
        fd = os.open(temporary, _CLAIM, _BY_UMASK)
        try:
            with open(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise delivery_error("write", path, error) from error


def _temporary(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name[:100]}.{secrets.token_hex(8)}")
