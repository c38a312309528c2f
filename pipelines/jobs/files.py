"""Files that the launching process itself writes, or makes sure that it could."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from typing import Final

from dovebeam.pipelines.options.errors import UsageError
from dovebeam.transforms import local_files
from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["check_appendable", "check_replaceable", "claim", "head_of", "replace_file"]

_APPEND: Final = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_PRIVATE: Final = 0o600
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_HEAD_BYTES: Final = 200
_LEDGER: Final = re.compile(rb'\{\s{0,20}(?:"dry_run":\s{0,20}true,\s{0,20})?"read":')


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
        os.close(local_files.open_new(path, _PRIVATE))
    except FileExistsError:
        raise
    except OSError as error:
        raise delivery_error("open", path, error) from error


def head_of(path: str) -> bytes:
    """The first bytes of a regular file; empty for one that is not there, not regular or not to be read."""
    try:
        with open(os.open(path, _READ), "rb") as file:
            return file.read(_HEAD_BYTES) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def check_replaceable(path: str) -> None:
    """Makes sure that `replace_file` could write a ledger, and that nothing but an older one would be lost by that.

    Raises:
        UsageError: the path is a device or the like, or a file that holds something else.
        DeliveryError: its directory does not exist or cannot be written, or the path is a directory.
    """
    head = head_of(path)
    if head and not _LEDGER.match(head):
        raise UsageError(f"--ledger {path} exists and is no ledger, so it is not replaced; name another file")
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode) if os.path.lexists(path) else stat.S_IFREG
        if kind not in {stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR}:
            raise UsageError(f"--ledger {path} is no regular file, and would be replaced by one; name another file")
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        trial = _temporary(path)
        os.close(local_files.open_new(trial, _PRIVATE))
        os.unlink(trial)
    except OSError as error:
        raise delivery_error("open", path, error) from error


def replace_file(path: str, content: bytes) -> None:
    """Writes a file so that readers see the old one or the whole new one, also after a power failure.

    A new file is for its owner alone (mode 0600), since reasons of rejects may quote events and targets name hosts. One
    that is replaced hands its mode on, so whoever wants others to read it says so once, by `chmod`.

    Raises:
        DeliveryError: it cannot be written; what was there is as before.
    """
    try:
        local_files.replace_file(path, content, _mode_of(path), is_exact=True)
    except OSError as error:
        raise delivery_error("write", path, error) from error


def _mode_of(path: str) -> int:
    """The permissions of a file that is to be replaced, if they are this user's to give."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return _PRIVATE
    return found.st_mode & 0o777 if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() else _PRIVATE


def _temporary(path: str) -> str:
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name[:100]}.{secrets.token_hex(8)}")
