"""Files of this machine, or of a directory that all workers mount.

Every directory below the base is entered by its own name and never through a symbolic link, and no file is opened
through one.
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


_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_DIRECTORY: Final = 0o700
_PRIVATE: Final = 0o600
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalStore:
    """See `Store`.

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
        """See `Store`; a link is there, wherever it leads."""
        try:
            with self._entered("stat", name) as (folder, last):
                found = os.stat(last, dir_fd=folder, follow_symlinks=False)
        except DeliveryError as error:
            if isinstance(error.__cause__, FileNotFoundError) and os.path.isdir(self._base):
                return ""
            raise
        return f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """See `Store`; also after a power failure there is the old file or the whole new one."""
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
        """See `Store`; a lock ends with the process that has it."""
        fd = self._locked(name)
        try:
            yield
        finally:
            if fd is not None:
                os.close(fd)

    def _locked(self, name: str) -> int | None:
        """The descriptor that holds a lock; None on a file system that has no locks."""
        with self._entered("open", name, _PRIVATE_DIRECTORY) as (folder, last):
            try:
                fd = take_lock(last, folder)
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return None
                raise
        if fd is None:
            path = os.path.join(self._base, name)
            message = f"{path} is locked: the same run is going on elsewhere; run the job again when it is alone"
            raise DeliveryError(message, path)
        return fd

    def delete_tree(self, directory: str) -> None:
        """See `Store`; the directory above goes, too, when nobody else has anything in it."""
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
        """The directory of a file, made if a mode for it is given; errors are said with the whole path."""
        try:
            with entered(self._base, name, mode) as place:
                yield place
        except DeliveryError:
            raise
        except OSError as error:
            raise delivery_error(call, os.path.join(self._base, name), error) from error


class _PartFile(io.BufferedWriter):
    """A file whose errors name it, since a full disk is noticed late."""

    def __init__(self, raw: io.FileIO, path: str) -> None:
        super().__init__(raw)
        self._path = path

    def write(self, data: object) -> int:
        """All of it."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise delivery_error("write", self._path, error) from error

    def close(self) -> None:
        """Raises if what was held cannot be written; the descriptor is closed all the same."""
        if self.closed:
            return
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
    """A file that is on the disk when it is closed."""

    def _settle(self) -> None:
        super()._settle()
        os.fsync(self.fileno())


def cut_off_note(name: str) -> str:
    """Which file `LocalStore.write` was writing under this name, up to 100 characters; empty if the name is another."""
    return name[1:].rpartition(".")[0] if name.startswith(".") else ""


def _rename_to_new(source: int, source_name: str, target: int, target_name: str) -> None:
    """Like rename, but an error if the name is taken, even since just now; without hard links, nearly so."""
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
    """Removes the files of a directory."""
    inner = os.open(name, _LIST, dir_fd=folder)
    try:
        for each in os.listdir(inner):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)


# What the steps need of a place for files. Names are relative to the place and have slashes.


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
