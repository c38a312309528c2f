"""The store interface of shards, and the store of local files or of a directory that all workers mount.

In the local store, every directory below the base is entered by its own name and never through a symbolic link, and no
file is opened through one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol, cast

from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.file.open_file import entered
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import NO_LOCKS, open_new, replace_file, sync_directory, take_lock
from dovebeam.transforms.shards.pieces import Fingerprint, fingerprint_of

__all__ = ["LocalStore", "Store", "cut_off_note", "fingerprint"]


class Store(Protocol):
    """Interface of a store of files. Names are relative to it and have slashes. All methods may raise DeliveryError."""

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:
        """Creates a temporary file for writing, which must not exist.

        Closing it raises an error unless all of it was stored, and synced to the disk, except for parts that are not
        `lasting`.

        Args:
            name: of the file.
            is_part: whether only its owner may read it; other files get their final mode.
            lasting: whether a part must survive a power failure.
        """
        ...  # pragma: no cover

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading; it can seek."""
        ...  # pragma: no cover

    def names(self, directory: str) -> list[str]:
        """Names of the files in a directory, relative to it and in no order; none if the directory is missing."""
        ...  # pragma: no cover

    def stamp(self, name: str) -> str:
        """A text that differs whenever the content of the file has changed; empty if there is no such file."""
        ...  # pragma: no cover

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """Gives a file its final name.

        Args:
            temporary: its present name.
            final: its new name.
            replaces: whether a file that has the name is replaced; else it is an error.
        """
        ...  # pragma: no cover

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file atomically: readers see the old one or the whole new one."""
        ...  # pragma: no cover

    def delete(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...  # pragma: no cover

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Holds a lock within the context, where the store has locks; an error if another process has it."""
        ...  # pragma: no cover

    def delete_tree(self, directory: str) -> None:
        """Removes a directory of temporary files, if it is there."""
        ...  # pragma: no cover


def fingerprint(store: Store, name: str) -> Fingerprint:
    """Size and SHA-256 of a file in a store, which is read."""
    with store.open(name) as file:
        return fingerprint_of(file)


# The store of local files.

# O_NONBLOCK, so that opening a FIFO with the name of a file does not hang.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE: Final = 0o600
# Errors of file systems without hard links, such as FAT, and of some mounts.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalStore:
    """Store of files in a local directory; see `Store`.

    Args:
        base: an existing directory.
        mode: of final files, reduced by the umask.
        directory_mode: of directories that final files need, likewise.
    """

    def __init__(self, base: str, mode: int, directory_mode: int) -> None:
        self._base = base
        self._mode = mode
        self._directory_mode = directory_mode

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:
        """See `Store`."""
        mode = _PRIVATE if is_part else self._mode
        with self._entered("open", name, _PRIVATE_DIRECTORY) as (folder, last):
            raw = io.FileIO(open_new(last, mode, folder), "w")
        # Parts of a job need no sync: after a power failure the whole job is run again.
        kind = _PartFile if is_part and not lasting else _SyncedFile
        return cast(BinaryIO, kind(raw, os.path.join(self._base, name)))

    def open(self, name: str) -> BinaryIO:
        """See `Store`."""
        with self._entered("open", name) as (folder, last):
            return open(last, "rb", opener=lambda path, _: os.open(path, _READ, dir_fd=folder))

    def names(self, directory: str) -> list[str]:
        """See `Store`."""
        if not self.stamp(directory):
            return []
        with self._entered("list", directory) as (folder, last):
            inner = os.open(last, _LIST, dir_fd=folder)
            try:
                return os.listdir(inner)
            finally:
                os.close(inner)

    def stamp(self, name: str) -> str:
        """See `Store`; a symbolic link counts as a file, even if its target is missing."""
        try:
            with self._entered("stat", name) as (folder, last):
                found = os.stat(last, dir_fd=folder, follow_symlinks=False)
        except DeliveryError as error:
            # Without its base, as when a disk is not mounted, nothing can be said about the files in it.
            if isinstance(error.__cause__, FileNotFoundError) and os.path.isdir(self._base):
                return ""
            raise
        # The change time shows changes also where a tool has set the modification time back.
        return f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """See `Store`; after a power failure there is the old file or the whole new one."""
        with (
            self._entered("open", temporary) as (source, source_name),
            self._entered("rename", final, self._directory_mode) as (target, target_name),
        ):
            if replaces:
                os.rename(source_name, target_name, src_dir_fd=source, dst_dir_fd=target)
            else:
                _rename_to_new(source, source_name, target, target_name)
            sync_directory(target)

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        with self._entered("write", name, self._directory_mode) as (folder, last):
            replace_file(last, content, self._mode, folder)

    def delete(self, name: str) -> None:
        """See `Store`."""
        if self.stamp(name):
            with self._entered("unlink", name) as (folder, last), contextlib.suppress(FileNotFoundError):
                os.unlink(last, dir_fd=folder)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """See `Store`; the lock ends with the process, however that ends."""
        fd = self._locked(name)
        try:
            yield
        finally:
            if fd is not None:
                os.close(fd)

    def _locked(self, name: str) -> int | None:
        """Descriptor that holds a lock; None on a file system without locks."""
        # There the commit relies on the manifest's `attempt` alone.
        with self._entered("open", name, _PRIVATE_DIRECTORY) as (folder, last):
            try:
                fd = take_lock(last, folder)
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return None
                raise
        if fd is None:
            path = os.path.join(self._base, name)
            message = (
                f"{path} is locked: the same run is active elsewhere; run the job again when no other one is active"
            )
            raise DeliveryError(message, path)
        return fd

    def delete_tree(self, directory: str) -> None:
        """See `Store`; also removes the directory above if it is empty then."""
        if not self.stamp(directory):
            return
        with self._entered("rmdir", directory) as (folder, last), contextlib.suppress(FileNotFoundError):
            _empty(folder, last)
            os.rmdir(last, dir_fd=folder)
        above = directory.rpartition("/")[0]
        if above:
            with self._entered("rmdir", above) as (folder, last), contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=folder)

    @contextlib.contextmanager
    def _entered(self, call: str, name: str, mode: int | None = None) -> Iterator[tuple[int, str]]:
        """Descriptor of a file's directory, created if a mode is given, and the file's name; errors name the path."""
        try:
            with entered(self._base, name, mode) as place:
                yield place
        except DeliveryError:
            raise
        except OSError as error:
            raise delivery_error(call, os.path.join(self._base, name), error) from error


class _PartFile(io.BufferedWriter):
    """Buffered file whose errors name its path."""

    def __init__(self, raw: io.FileIO, path: str) -> None:
        super().__init__(raw)
        self._path = path

    def write(self, data: object) -> int:
        """Writes all of the data."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise delivery_error("write", self._path, error) from error

    def close(self) -> None:
        """Closes the file; raises DeliveryError if buffered data cannot be written."""
        if self.closed:
            return
        # A full disk is noticed only here if little was written. The descriptor is closed in any case.
        try:
            self._settle()
        except OSError as error:
            raise delivery_error("write", self._path, error) from error
        finally:
            with contextlib.suppress(OSError):
                super().close()

    def _settle(self) -> None:
        self.flush()


class _SyncedFile(_PartFile):
    """File that is synced to the disk before it is closed."""

    def _settle(self) -> None:
        super()._settle()
        os.fsync(self.fileno())


def cut_off_note(name: str) -> str:
    """Name of the file that `LocalStore.write` was replacing by this temporary one, up to 100 characters.

    Empty if the name is not that of a temporary file.
    """
    return name[1:].rpartition(".")[0] if name.startswith(".") else ""


def _rename_to_new(source: int, source_name: str, target: int, target_name: str) -> None:
    """Renames a file; raises FileExistsError if the name is taken."""
    # `rename` would silently replace a file that appeared since the check, and `link` does not. Where there are no hard
    # links, a check right before the rename leaves a short gap.
    try:
        os.link(source_name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.stat(target_name, dir_fd=target, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(source_name, target_name, src_dir_fd=source, dst_dir_fd=target)
    else:
        os.unlink(source_name, dir_fd=source)


def _empty(folder: int, name: str) -> None:
    """Removes all files of a directory."""
    inner = os.open(name, _LIST, dir_fd=folder)
    try:
        for each in os.listdir(inner):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)
