"""Where the files of a configuration are: what reading one asks for, and the answer of this machine.

The configuration language needs three things of its files: their text, whether there is one of a name, and which ones a
pattern matches. Whoever keeps configurations elsewhere, such as in an object store, implements `ConfigFiles`; their
paths are then URLs, and everything relative stays with the file that names it.
"""

from __future__ import annotations

import glob
import os
from typing import Final, Protocol

from dovebeam.transforms.config.includes import MAX_FILE_BYTES, read_text

__all__ = ["LOCAL_FILES", "ConfigFiles", "LocalFiles", "is_url"]


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
        """See `ConfigFiles`; a directory reads as empty."""
        return read_text(path, limit=limit, pipes=pipes)

    def exists(self, path: str) -> bool:
        """See `ConfigFiles`; a symbolic link that leads nowhere is something, too."""
        return os.path.lexists(path)

    def glob(self, pattern: str) -> list[str]:
        """See `ConfigFiles`."""
        return glob.glob(pattern)


LOCAL_FILES: Final = LocalFiles()


def is_url(path: str) -> bool:
    """Whether a path is no path of this machine."""
    return "://" in path
