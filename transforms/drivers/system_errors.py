"""Errors of the operating system, said as Dovecot says them and with what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["check_path", "delivery_error", "error_number"]

_ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EACCES: "give the user that runs the worker the permission, or choose another path",
        errno.EAGAIN: "the listener does not accept connections fast enough",
        errno.EBUSY: "another program holds the lock of the file; stop it, then run again",
        errno.ECONNREFUSED: "nothing listens there; start the listener, or remove its stale socket",
        errno.EDQUOT: "the disk quota is used up; make room, then run again",
        errno.EISDIR: "name a file in that directory",
        errno.ELOOP: "it is a symbolic link, and following one could write anywhere; name the file itself",
        errno.ENAMETOOLONG: "choose a shorter path",
        errno.ENOENT: "it does not exist; directories are not created, so create it or correct the path",
        errno.ENOSPC: "the disk is full; make room, then run again",
        errno.ENOTDIR: "a part of the path is a file; correct the path",
        errno.ENOTSOCK: "it is no socket; correct the path",
        errno.ENXIO: "it is a FIFO that nobody reads, or a socket; start its reader, or name a file",
        errno.EROFS: "the file system is read-only; mount it writable, or choose another path",
    }
)


def delivery_error(call: str, target: str, error: OSError) -> DeliveryError:
    """A `DeliveryError` in Dovecot's form, "open(PATH) failed: No such file or directory", with advice.

    Args:
        call: the system call, such as "open".
        target: its path or address, which becomes the error's endpoint.
        error: what it raised; a time-out without a number counts as ETIMEDOUT.
    """
    number = error.errno
    if isinstance(error, TimeoutError) and number is None:
        number = errno.ETIMEDOUT
    text = os.strerror(number) if number else str(error)
    advice = _ADVICE.get(number or 0, "")
    if number == errno.ENOENT and call == "connect":
        advice = "there is no socket; start the listener, or correct the path"
    return DeliveryError(f"{call}({target}) failed: {text}{f' ({advice})' if advice else ''}", target)


def error_number(error: DeliveryError | OSError) -> int:
    """The number of a system's error, also of one behind a `DeliveryError`; 0 for none."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return cause.errno or 0 if isinstance(cause, OSError) else 0


def check_path(setting: str, path: str) -> None:
    """Refuses a path that cannot name anything.

    Raises:
        DriverSettingError: it is empty, has a NUL byte, or is not UTF-8, as the graph of a job must be.
    """
    if not path:
        raise DriverSettingError(setting, "it is empty; set it to a path")
    if "\0" in path:
        raise DriverSettingError(setting, "a path cannot have a NUL byte; remove it")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DriverSettingError(setting, "the path is not UTF-8; name it otherwise") from error
