"""Temporary folders that do not outlive their process for long, however it ends.

A process that is killed cannot remove what it made. So each temporary folder is locked by its maker for as long as it
is in use. Whoever makes the next one beside it removes those that no one has locked, if they have the name of one and
belong to the same user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from types import TracebackType
from typing import Final

from dovebeam.transforms.local_files import abandoned, is_ours

__all__ = ["TemporaryFolder", "remove_folder"]

_PREFIX: Final = "dovebeam-"
_SUFFIX: Final = ".locked"  # version 0.1.0 had none, and no locks; what it left may be in use
_TEMPORARY_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_TRIES: Final = 100


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
            shutil.rmtree(self.path, ignore_errors=True)
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
        shutil.rmtree(path, ignore_errors=True)


def _is_named_so(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _sweep_folders(parent: str) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _is_named_so(entry.name) and entry.is_dir(follow_symlinks=False):
                with abandoned(entry.path) as is_left:
                    if is_left:
                        shutil.rmtree(entry.path, ignore_errors=True)
