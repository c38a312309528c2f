"""The `file` driver: one line per event, appended.

Rules from Dovecot's section "Export drivers", "Opening a file" and "Writing": opened for the first batch, never through
a symbolic link, mode 0600, no directory made, no fsync, no rotation. What Dovecot loses when a write fails is kept
here: the error is raised, and the file is put back to the end of its last whole line. Templates of paths, rotation,
compression and other modes are extensions; so is that a file that was moved away is opened anew at the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.file.append import AppendedFile, AppendSettings, OpenFiles, shown_path
from dovebeam.transforms.drivers.file.names import compressed_name
from dovebeam.transforms.drivers.file.settings import FileSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["FileConnection", "FileDriver"]

# Small members and frames compress badly, and a batch is spread over many files.
_BATCH_EVENTS: Final = 10_000


class FileDriver(FileSettings, Driver):
    r"""Appends each payload and a newline to a file, or writes complete files of such lines.

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

    __slots__ = ()  # no fields of its own, so the methods of the settings serve as they are

    name: ClassVar[str] = "file"

    @property
    def max_batch_events(self) -> int:
        """How many payloads at most a worker collects; more where each file gets but a part of them."""
        return _BATCH_EVENTS if self.file_compression != "none" or self.router() else 500

    def open(self) -> FileConnection:
        """A connection that opens files when their first payloads come."""
        return FileConnection(self)


class FileConnection(Connection):
    """The files that are appended to; each is opened when the first payload for it comes."""

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
        shown = settings.file_path if path == settings.default_path else shown_path(settings.base, path)
        packed = settings.file_compression
        return AppendedFile(compressed_name(path, packed), compressed_name(shown, packed), self._append)

    def deliver(self, batch: Batch) -> list[Failure]:
        """Appends the payloads, each to the file of its path."""
        for path, payloads in self._by_path(batch).items():
            for lines in self._pieces(payloads):
                self._files[path].append(lines)
        return []

    def _pieces(self, payloads: Sequence[bytes]) -> Iterator[bytes]:
        """The lines of a batch, in as many pieces as no file can hold together."""
        limit = self._settings.rotate_size
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
