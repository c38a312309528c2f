"""What the steps need of a place for files. Names are relative to the place and have slashes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from dovebeam.transforms.shards.fingerprints import Fingerprint, fingerprint_of

__all__ = ["Store", "fingerprint"]


class Store(Protocol):
    """A place for files. Everything raises `DeliveryError` for what the place refuses."""

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:
        """A new temporary file, which must not exist; a part is for its owner only, others get their final mode.

        Closing it is an error unless all of it is in the place, and on the disk unless it is a part that need not be
        `lasting`.
        """
        ...  # pragma: no cover

    def open(self, name: str) -> BinaryIO:
        """A file for reading; one can seek in it."""
        ...  # pragma: no cover

    def names(self, directory: str) -> list[str]:
        """The files of a directory, by their names in it and in no order; none if there is no such directory."""
        ...  # pragma: no cover

    def stamp(self, name: str) -> str:
        """Empty if there is nothing of that name, else a text that is another one when the content has changed."""
        ...  # pragma: no cover

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """Gives a file its final name.

        Args:
            temporary: its name so far.
            final: its name from now on.
            replaces: whether something has the name already, which goes; else it is an error if something has it.
        """
        ...  # pragma: no cover

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file at once, so that readers see the old one or the whole new one."""
        ...  # pragma: no cover

    def delete(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...  # pragma: no cover

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Holds a lock as long as the context lasts, where the place has such; an error if somebody else has it."""
        ...  # pragma: no cover

    def delete_tree(self, directory: str) -> None:
        """Removes a directory of temporary files, if it is there."""
        ...  # pragma: no cover


def fingerprint(store: Store, name: str) -> Fingerprint:
    """Reads a file and says what it is."""
    with store.open(name) as file:
        return fingerprint_of(file)
