"""Where the files of a configuration are: what reading one asks for, and the answer of this machine.

The configuration language needs three things of its files: their text, whether there is one of a name, and which ones a
pattern matches. Whoever keeps configurations elsewhere, such as in an object store, implements `ConfigFiles`; their
paths are then URLs, and everything relative stays with the file that names it.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from typing import Final, Protocol

__all__ = ["LOCAL_FILES", "MAX_FILE_BYTES", "ConfigFiles", "LocalFiles", "TooLargeError", "text_of"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""The most that is read of a file of a configuration."""


class TooLargeError(Exception):
    """A file or a pattern beyond dovebeam's limits; the text says which limit."""


class ConfigFiles(Protocol):
    """Reads files of a configuration."""

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
        """A file's bytes as text; bytes that are not UTF-8 become surrogate escapes.

        Args:
            path: the file.
            limit: most bytes to read.
            pipes: also read what is not a regular file.

        Raises:
            OSError: it cannot be read; its `strerror` says why.
            TooLargeError: it is longer than `limit`.
        """
        ...  # pragma: no cover

    def exists(self, path: str) -> bool:
        """Whether there is something of that name.

        Raises:
            OSError: that cannot be found out.
        """
        ...  # pragma: no cover

    def glob(self, pattern: str) -> list[str]:
        """What matches a pattern with `*`, `?` and `[...]`, in any order.

        Raises:
            OSError: that cannot be found out.
        """
        ...  # pragma: no cover


class LocalFiles:
    """Files of this machine."""

    def read(self, path: str, *, limit: int = MAX_FILE_BYTES, pipes: bool = False) -> str:
        """See `ConfigFiles`; a directory reads as empty, as in Dovecot. A pipe may block."""
        # A pipe without a writer would block the open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK))
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                return ""
            if not pipes and not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(descriptor)
        return text_of(path, data, limit)

    def exists(self, path: str) -> bool:
        """See `ConfigFiles`; a symbolic link that leads nowhere is something, too."""
        return os.path.lexists(path)

    def glob(self, pattern: str) -> list[str]:
        """See `ConfigFiles`."""
        return glob.glob(pattern)


LOCAL_FILES: Final = LocalFiles()


def text_of(path: str, data: bytes, limit: int) -> str:
    """The text of a file of which at most one byte more than `limit` was read.

    Bytes that are not UTF-8 become surrogate escapes, so nothing is lost.

    Raises:
        TooLargeError: it is longer than `limit`.
    """
    if len(data) > limit:
        raise TooLargeError(f"{path} is larger than {limit} bytes, the most that dovebeam reads")
    return data.decode("utf-8", "surrogateescape")
