"""What the steps need of a place for files, and such a place on this machine.

Names are relative to the base and have slashes. On this machine every directory below the base is entered by its own
name and never through a symbolic link, and no file is opened through one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple, Protocol

from dovebeam.transforms.drivers.files.folders import entered
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError

__all__ = ["COPY_BYTES", "Fingerprint", "LocalStore", "Store", "fingerprint"]

COPY_BYTES: Final = 1024 * 1024

_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE: Final = 0o600


class Fingerprint(NamedTuple):
    """Size and SHA-256 (hex) of a file."""

    bytes: int
    sha256: str


class Store(Protocol):
    """A place for files. Everything raises `DeliveryError` for what the place refuses."""

    def create(self, name: str, *, is_part: bool) -> BinaryIO:
        """A new temporary file, which must not exist; a part is for its owner only, others get their final mode."""
        ...  # pragma: no cover

    def open(self, name: str) -> BinaryIO:
        """A file for reading; one can seek in it."""
        ...  # pragma: no cover

    def exists(self, name: str) -> bool:
        """Whether there is anything of that name."""
        ...  # pragma: no cover

    def publish(self, temporary: str, final: str) -> None:
        """Gives a file its final name; what has the name already is replaced."""
        ...  # pragma: no cover

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file at once, so that readers see the old one or the whole new one."""
        ...  # pragma: no cover

    def delete(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...  # pragma: no cover

    def delete_tree(self, directory: str) -> None:
        """Removes a directory of temporary files, if it is there."""
        ...  # pragma: no cover


def fingerprint(store: Store, name: str) -> Fingerprint:
    """Reads a file and says what it is."""
    digest, size = hashlib.sha256(), 0
    with store.open(name) as file:
        while data := file.read(COPY_BYTES):
            digest.update(data)
            size += len(data)
    return Fingerprint(size, digest.hexdigest())


class LocalStore:
    """Files below a directory of this machine, or of one that all workers mount.

    Args:
        base: an existing directory.
        mode: of final files, lessened by the umask.
        directory_mode: of directories that final files need, likewise.
    """

    def __init__(self, base: str, mode: int, directory_mode: int) -> None:
        self._base = base
        self._mode = mode
        self._directory_mode = directory_mode

    def create(self, name: str, *, is_part: bool) -> BinaryIO:
        """See `Store`."""
        mode = _PRIVATE if is_part else self._mode
        with self._entered("open", name, _PRIVATE_DIRECTORY) as (folder, last):
            return os.fdopen(os.open(last, _CREATE, mode, dir_fd=folder), "wb")

    def open(self, name: str) -> BinaryIO:
        """See `Store`."""
        with self._entered("open", name, _PRIVATE_DIRECTORY) as (folder, last):
            return os.fdopen(os.open(last, _READ, dir_fd=folder), "rb")

    def exists(self, name: str) -> bool:
        """See `Store`; a link is there, wherever it leads."""
        with self._entered("stat", name, self._directory_mode) as (folder, last):
            try:
                os.stat(last, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return False
        return True

    def publish(self, temporary: str, final: str) -> None:
        """See `Store`; also after a power failure there is the old file or the whole new one."""
        with (
            self._entered("open", temporary, _PRIVATE_DIRECTORY) as (source, source_name),
            self._entered("rename", final, self._directory_mode) as (target, target_name),
        ):
            fd = os.open(source_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(source_name, target_name, src_dir_fd=source, dst_dir_fd=target)
            _sync(target)

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        with self._entered("write", name, self._directory_mode) as (folder, last):
            temporary = f".{last[:100]}.{secrets.token_hex(8)}"
            fd = os.open(temporary, _CREATE, self._mode, dir_fd=folder)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(fd)
                os.rename(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            _sync(folder)

    def delete(self, name: str) -> None:
        """See `Store`."""
        with (
            self._entered("unlink", name, self._directory_mode) as (folder, last),
            contextlib.suppress(FileNotFoundError),
        ):
            os.unlink(last, dir_fd=folder)

    def delete_tree(self, directory: str) -> None:
        """See `Store`; the directory above goes, too, when nobody else has anything in it."""
        with self._entered("rmdir", directory, _PRIVATE_DIRECTORY) as (folder, last):
            try:
                inner = os.open(last, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except FileNotFoundError:
                return
            try:
                for each in os.listdir(inner):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(each, dir_fd=inner)
            finally:
                os.close(inner)
            os.rmdir(last, dir_fd=folder)
        above = directory.rpartition("/")[0]
        if above:
            with self._entered("rmdir", above, _PRIVATE_DIRECTORY) as (folder, last), contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=folder)

    @contextlib.contextmanager
    def _entered(self, call: str, name: str, mode: int) -> Iterator[tuple[int, str]]:
        """The directory of a file; errors are said with the whole path."""
        try:
            with entered(self._base, name, mode) as place:
                yield place
        except DeliveryError:
            raise
        except OSError as error:
            raise delivery_error(call, os.path.join(self._base, name), error) from error


def _sync(folder: int) -> None:
    """Makes names in a directory last; `folder` may have been opened only to enter it."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
