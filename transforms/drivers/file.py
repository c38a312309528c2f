"""The `file` driver: one line per event, appended.

Rules from Dovecot's section "Export drivers", "Opening a file" and "Writing": opened for the first batch, never through
a symbolic link, mode 0600, no directory made, no fsync, no rotation. What Dovecot loses when a write fails is kept
here: the error is raised, and the file is put back to the end of its last whole line. Templates of paths, rotation,
compression and other modes are extensions; so is that a file that was moved away is opened anew at the next batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, cast

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.files.append import AppendedFile, AppendSettings, shown_path
from dovebeam.transforms.drivers.files.names import compressed_name
from dovebeam.transforms.drivers.files.open_files import OpenFiles
from dovebeam.transforms.drivers.files.routing import PathRouter
from dovebeam.transforms.drivers.files.settings import check_file_settings
from dovebeam.transforms.drivers.system_errors import check_path
from dovebeam.transforms.errors import DeliveryError

__all__ = ["FileConnection", "FileDriver"]

# Small members and frames compress badly, and a batch is spread over many files.
_BATCH_EVENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class FileDriver(Driver):
    r"""Appends each payload and a newline to a file, or writes complete files of such lines.

    Attributes:
        file_path: `event_exporter_file_path`; relative to the worker's directory. With a template it is the directory
            below which the files are.
        file_writing: "append" as Dovecot does, or "shards": files that are complete and named when a job ends.
        file_path_template: name of each event's file below the directory; empty for one file.
        file_missing_field: what becomes of an event without a field of the template: "reject" or "fallback".
        file_field_fallback: what stands in the name for a missing field.
        file_rotate_size: bytes after which a file is full; 0 or None for no limit.
        file_rotate_interval_msec: length of the windows of event time that have files of their own; 0 or None for none.
        file_window_delay_msec: in a stream, how long after the end of its window a file is written, and how long what
            comes later is collected for another one.
        file_compression: "none", "gzip" or "zstd".
        file_permissions: octal mode of new files, lessened by the umask.
        file_max_open: how many files at most one connection holds open.

    Parallelism: any number of connections and processes may append to one file on one machine; what a batch has for a
    file is one `write` in append mode, and connections of dovebeam take turns by an advisory lock (`flock`), so lines
    stay whole and the lines of a batch stay together and in order. Over NFS, where appends can overwrite each other,
    use one process. Shards are written by any number of workers on any number of machines that see the place.

    Delivery: shards exactly once, also over retries and when a job is run again; `WriteToShards` says how. Appending at
    least once into the kernel's hands; not flushed to the disk, as in Dovecot. A batch that cannot be written whole
    raises `DeliveryError` and is taken back out of the file, so that sending it again makes no duplicates; if another
    program appended meanwhile, nothing is taken back, and the next batch begins on a fresh line. The same holds for a
    torn line that a killed process left at the end of the file; the torn end of a compressed file is removed. What a
    batch had for other files, or for files that are full now, stays, and is there twice when the batch is sent again.
    """

    file_path: str
    file_writing: str = "append"
    file_path_template: str = ""
    file_missing_field: str = "reject"
    file_field_fallback: str = "unknown"
    file_rotate_size: int | None = 0
    file_rotate_interval_msec: int | None = 0
    file_window_delay_msec: int | None = 60_000
    file_compression: str = "none"
    file_permissions: str = "0600"
    file_max_open: int = 100

    name: ClassVar[str] = "file"

    def __post_init__(self) -> None:
        check_path("event_exporter_file_path", self.file_path)
        check_file_settings(self)

    @property
    def base(self) -> str:
        """The directory below which all files are; it is never made, and links in its own path are followed."""
        return self.file_path if self.file_path_template else os.path.dirname(self.file_path) or "."

    @property
    def default_path(self) -> str:
        """The file of all events, relative to `base`, where there is no router."""
        return os.path.basename(self.file_path)

    @property
    def rotate_size(self) -> int:
        """Bytes after which a file is full, 0 for no limit."""
        return self.file_rotate_size or 0

    @property
    def rotate_interval_secs(self) -> int:
        """Length of the windows of event time, 0 for none."""
        return (self.file_rotate_interval_msec or 0) // 1000

    @property
    def mode(self) -> int:
        """Mode bits of new files."""
        return int(self.file_permissions, 8)

    @property
    def directory_mode(self) -> int:
        """Mode bits of new directories: whoever may read or write the files may enter."""
        return self.mode | (self.mode & 0o444) >> 2 | (self.mode & 0o222) >> 1

    def router(self) -> PathRouter | None:
        """What finds each event's file below `base`; None if there is but one.

        Paths have neither the suffix of a compression nor the number of a full file yet.
        """
        window, template = self.rotate_interval_secs, self.file_path_template
        if not template and not window:
            return None
        missing = cast(Literal["reject", "fallback"], self.file_missing_field)
        return PathRouter(template or self.default_path, not template, window, missing, self.file_field_fallback)

    @property
    def max_batch_events(self) -> int:
        """How many payloads at most a worker collects; more where each file gets but a part of them."""
        return _BATCH_EVENTS if self.file_compression != "none" or self.router() else 500

    @property
    def endpoint(self) -> str:
        """The path."""
        return self.file_path

    def open(self) -> FileConnection:
        """A connection that opens files when their first payloads come."""
        return FileConnection(self)


class FileConnection(Connection):
    """The files that are appended to; each is opened when the first payload for it comes."""

    def __init__(self, driver: FileDriver) -> None:
        super().__init__()
        self._driver = driver
        self._settings = AppendSettings(
            driver.base, driver.file_compression, driver.rotate_size, driver.mode, driver.directory_mode
        )
        self._is_routed = driver.router() is not None
        self._files = OpenFiles(driver.file_max_open, self._make)

    def _make(self, path: str) -> AppendedFile:
        driver = self._driver
        shown = driver.file_path if path == driver.default_path else shown_path(driver.base, path)
        packed = driver.file_compression
        return AppendedFile(compressed_name(path, packed), compressed_name(shown, packed), self._settings)

    def deliver(self, batch: Batch) -> list[Failure]:
        """Appends the payloads, each to the file of its path."""
        for path, payloads in self._by_path(batch).items():
            for lines in self._pieces(payloads):
                self._files[path].append(lines)
        return []

    def _pieces(self, payloads: Sequence[bytes]) -> Iterator[bytes]:
        """The lines of a batch, in as many pieces as no file can hold together."""
        limit = self._driver.rotate_size
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
            return {self._driver.default_path: batch.payloads}
        if len(batch.paths) != len(batch):
            message = "file_path_template and file_rotate_interval need the events; export them with ExportEvents"
            raise DeliveryError(f"{message}, or write formatted payloads to one file", self._driver.endpoint)
        grouped: dict[str, list[bytes]] = {}
        for path, payload in zip(batch.paths, batch.payloads, strict=True):
            grouped.setdefault(path, []).append(payload)
        return grouped

    def release(self) -> None:
        """Closes the files."""
        self._files.close()
