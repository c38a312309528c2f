"""The directory in which a stream remembers how far it has come; one process at a time may use it."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final, Self

from dovebeam.transforms.local_files import make_private_directory, replace_file, take_lock
from dovebeam.transforms.sources import SourceError

__all__ = ["STATE_NAME", "StateStore"]

STATE_NAME: Final = "follow.json"
_LOCK: Final = "lock"
_MAX_STATE_BYTES: Final = 64 * 1024 * 1024
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateStore:
    """Keeps one state, locked for as long as it is open. A context manager.

    Guarantee: at any moment, and after a power failure, there is the last state that `save` returned from, or the one
    that it was about to write.

    Args:
        directory: created with mode 0700 if it is missing, its parents are not.

    Raises:
        SourceError: it cannot be used, or another process uses it.
    """

    def __init__(self, directory: str) -> None:
        self.path: Final = os.path.join(directory, STATE_NAME)
        self._directory = directory
        try:
            make_private_directory(directory)
            self._lock = take_lock(os.path.join(directory, _LOCK))
        except OSError as error:
            raise self._error("cannot hold the state", error) from error
        if self._lock is None:
            raise SourceError("another dovebeam stream uses this state; give each its own --state", directory)

    def load(self) -> bytes:
        """The state that was saved last; empty if there is none, as before the first start.

        Raises:
            SourceError: it cannot be read, or is a file without content, which is not a first start.
        """
        try:
            fd = os.open(self.path, _READ)
            with open(fd, "rb") as file:
                state = file.read(_MAX_STATE_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._error("the state cannot be read", error) from error
        if not state:
            raise SourceError(
                "the state is empty, as a power failure may leave it; put a copy of it back, or remove it to begin "
                "again: then what was delivered is delivered a second time, and rotated files are not read",
                self.path,
            )
        return state

    def save(self, state: bytes) -> None:
        """Puts `state` in place of the one before.

        Raises:
            SourceError: it cannot be written; the one before is as it was.
        """
        try:
            replace_file(self.path, state, 0o600)
        except OSError as error:
            raise self._error("the state cannot be written", error) from error

    def close(self) -> None:
        """Gives the directory free; a second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _error(self, what: str, error: OSError) -> SourceError:
        return SourceError(
            f"{what}: {error.strerror}; repair it, or name another directory with --state", self._directory
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()
