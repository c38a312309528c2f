"""The connection of the `file` driver: appends batches to files, which are opened again after they were moved.

An `AppendedFile` is renamed when it is full. `OpenFiles` bounds how many of them a `FileConnection` holds open.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.base import Batch, Connection, Failure, delivery_error
from dovebeam.transforms.drivers.file.compression import DamagedError, pack
from dovebeam.transforms.drivers.file.names import compressed_name, move_full_file
from dovebeam.transforms.drivers.file.open_file import OpenFile, entered
from dovebeam.transforms.drivers.file.settings import FileSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["AppendSettings", "AppendedFile", "FileConnection", "OpenFiles", "shown_path"]


# Other processes that rename the same full file make this one open it again; so often only if something is wrong.
_MAX_REOPENINGS: Final = 100


@dataclass(frozen=True, slots=True)
class AppendSettings:
    """Settings that all files of a driver have in common.

    Attributes:
        base: the directory below which they are.
        compression: "none", "gzip" or "zstd".
        rotate_size: bytes after which a file is full and renamed, 0 for never.
        mode: of new files.
        directory_mode: of new directories.
    """

    base: str
    compression: str
    rotate_size: int
    mode: int
    directory_mode: int


class AppendedFile:
    """A file by its path, which batches of lines are appended to."""

    def __init__(self, path: str, shown: str, settings: AppendSettings) -> None:
        """Opens nothing yet.

        Args:
            path: relative to the base, with its compression's suffix.
            shown: the path in errors.
            settings: those of the driver.
        """
        self._path = path
        self._shown = shown
        self._settings = settings
        self._file: OpenFile | None = None

    def append(self, lines: bytes) -> None:
        """Appends whole lines in one piece.

        Raises:
            DeliveryError: they could not be written, or only in part, which was taken back.
        """
        # Before the lock is taken, so that other processes do not wait for the compression.
        data = pack(lines, self._settings.compression)
        # The system call that an `OSError` is reported for.
        call = "open"
        try:
            # Entered for each batch: a directory may have been moved or removed meanwhile, like the file.
            with entered(self._settings.base, self._path, self._settings.directory_mode) as (folder, name):
                for _ in range(_MAX_REOPENINGS):
                    file = self._opened(folder, name)
                    call = "write"
                    if self._append_to(file, folder, name, data):
                        return
                    self.close()
                    call = "open"
            raise DeliveryError(f"{self._shown} was replaced again and again while it was opened", self._shown)
        except BaseException as error:
            # What is left may be torn; opening again looks at the end of the file.
            self._drop()
            if isinstance(error, OSError):
                raise delivery_error(call, self._shown, error) from error
            raise

    def close(self) -> None:
        """Closes the file; the next batch opens it again.

        Raises:
            DeliveryError: the system reports only now that something could not be written.
        """
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise delivery_error("close", self._shown, error) from error

    def _opened(self, folder: int, name: str) -> OpenFile:
        if self._file is not None and not self._file.is_at(folder, name):
            self.close()
        if self._file is None:
            self._file = OpenFile.open(folder, name, self._settings.mode)
        return self._file

    def _append_to(self, file: OpenFile, folder: int, name: str, data: bytes) -> bool:
        """Appends; returns False if the file has to be opened again: it was moved, or was full and is renamed now."""
        with file.turn() as locked:
            if not file.is_regular:
                file.write(data, may_truncate=False)
                return True
            # Again, now with the lock: another process may have renamed the file while this one waited.
            if not file.is_at(folder, name):
                return False
            before = self._mend_end(file, folder, name, locked=locked)
            size, limit = file.size, self._settings.rotate_size
            # An empty file takes a batch of any size, or no file ever could.
            if limit and size and size + len(before) + len(data) > limit:
                # The full file gets its last newline, too, for it is never opened again.
                if before:
                    file.write(before, may_truncate=locked)
                move_full_file(folder, name, self._settings.mode)
                return False
            file.write(before + data, may_truncate=locked)
            return True

    def _mend_end(self, file: OpenFile, folder: int, name: str, *, locked: bool) -> bytes:
        """Removes or ends a torn end that a killed process left; returns bytes to write before the next line."""
        compression = self._settings.compression
        # A torn line stays, ended by a newline. A torn member would make all that follows it unreadable.
        if compression == "none":
            return b"\n" if file.ends_inside_a_line(folder, name) else b""
        try:
            file.cut_torn_end(folder, name, compression, locked=locked)
        except DamagedError as error:
            message = f"{self._shown} is not {compression} at byte {error.offset}, so nothing could be read after it"
            raise DeliveryError(f"{message}; move the file away, then run again", self._shown) from error
        return b""

    def _drop(self) -> None:
        """Closes the file after an error, which is more important than one of closing."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def shown_path(base: str, path: str) -> str:
    """A path below a base for errors: without `./` at its start."""
    return path if base == "." else os.path.join(base, path)


class OpenFiles:
    """The files that a connection holds open, by path; the least recently used one is closed for a new one.

    Args:
        limit: how many may be open.
        make: makes a file of a path; it is opened when it is appended to.
    """

    def __init__(self, limit: int, make: Callable[[str], AppendedFile]) -> None:
        self._limit = limit
        self._make = make
        self._files: OrderedDict[str, AppendedFile] = OrderedDict()

    def __getitem__(self, path: str) -> AppendedFile:
        """The file of a path.

        Raises:
            DeliveryError: another one was closed for it, and only now the system reports an error of its writes.
        """
        file = self._files.get(path)
        if file is None:
            if len(self._files) >= self._limit:
                self._files.popitem(last=False)[1].close()
            file = self._files[path] = self._make(path)
        else:
            self._files.move_to_end(path)
        return file

    def __len__(self) -> int:
        return len(self._files)

    def close(self) -> None:
        """Closes all of them, also after an error.

        Raises:
            DeliveryError: the first error of them.
        """
        # All are closed before anything is raised, or the rest would stay open.
        first: DeliveryError | None = None
        while self._files:
            try:
                self._files.popitem()[1].close()
            except DeliveryError as error:
                first = first or error
        if first is not None:
            raise first


class FileConnection(Connection):
    """Appends to files; each is opened when the first payload for it comes."""

    def __init__(self, settings: FileSettings) -> None:
        super().__init__()
        self._settings = settings
        self._append = AppendSettings(
            settings.base, settings.file_compression, settings.rotate_size, settings.mode, settings.directory_mode
        )
        self._is_routed = settings.router() is not None
        self._files = OpenFiles(settings.file_max_open, self._make)

    def _make(self, path: str) -> AppendedFile:
        settings = self._settings
        # Errors name the path as it was written, which `shown_path` would turn into an equal one that looks different.
        shown = settings.file_path if path == settings.default_path else shown_path(settings.base, path)
        packed = settings.file_compression
        return AppendedFile(compressed_name(path, packed), compressed_name(shown, packed), self._append)

    def deliver(self, batch: Batch) -> list[Failure]:
        """Appends the payloads, each to the file of its path."""
        for path, payloads in self._by_path(batch).items():
            for lines in self._pieces(payloads):
                self._files[path].append(lines)
        # Never a failure: what stops a file from being written is not the fault of a payload, and was raised.
        return []

    def _pieces(self, payloads: Sequence[bytes]) -> Iterator[bytes]:
        """The lines of a batch in pieces of at most the rotation size; a longer line is a piece of its own."""
        limit = self._settings.rotate_size
        # The usual case in one step; the sum counts a newline for each payload.
        if not limit or sum(map(len, payloads)) + len(payloads) <= limit:
            yield b"\n".join([*payloads, b""])
            return
        piece: list[bytes] = []
        size = 0
        for payload in payloads:
            if size and size + len(payload) + 1 > limit:
                yield b"\n".join([*piece, b""])
                piece, size = [], 0
            piece.append(payload)
            size += len(payload) + 1
        yield b"\n".join([*piece, b""])

    def _by_path(self, batch: Batch) -> Mapping[str, Sequence[bytes]]:
        if not self._is_routed:
            return {self._settings.default_path: batch.payloads}
        if len(batch.paths) != len(batch):
            message = "file_path_template and file_rotate_interval need the events; export them with ExportEvents"
            raise DeliveryError(f"{message}, or write formatted payloads to one file", self._settings.endpoint)
        grouped: dict[str, list[bytes]] = {}
        for path, payload in zip(batch.paths, batch.payloads, strict=True):
            grouped.setdefault(path, []).append(payload)
        return grouped

    def release(self) -> None:
        """Closes the files."""
        self._files.close()
