"""`SpoolDriver`: delivers into the spool of a stream, of which its launcher makes files."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import ClassVar

from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure, FileDriver
from dovebeam.transforms.drivers.files.windows import WindowRouter, split_windowed
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.sharding.remote_store import make_store
from dovebeam.transforms.shards.framing import Lines
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import Piece
from dovebeam.transforms.shards.publishing import Publisher
from dovebeam.transforms.shards.spool import Spool, SpooledPart
from dovebeam.transforms.shards.store import Store

__all__ = ["SpoolDriver"]

_LINES = Lines()


@dataclass(frozen=True, slots=True)
class SpoolDriver(Driver):
    """Keeps payloads on disk, by the windows of their events, until a `Publisher` makes files of them.

    Attributes:
        files: the driver of the exporter, with `file_writing` shards and windows.
        exporter: its name.
        stream: what the stream is called, the same after every start.

    Parallelism: any number of connections and processes that see the place; one process makes the files.

    Delivery: at least once. A bundle that succeeded has its payloads on the disk, and they stay there until they are in
    a file that has its name. What a bundle had spooled that failed afterwards is there once more when it is repeated.
    """

    files: FileDriver
    exporter: str
    stream: str

    name: ClassVar[str] = "file"

    def router(self) -> WindowRouter | None:
        """Says the window besides the path."""
        paths = self.files.router()
        return None if paths is None else WindowRouter(paths)

    @property
    def max_batch_events(self) -> int:
        """As many as the files' own driver takes."""
        return self.files.max_batch_events

    @property
    def endpoint(self) -> str:
        """The path."""
        return self.files.endpoint

    def display_items(self) -> dict[str, str | int | bool]:
        """Those of the files' own driver."""
        return self.files.display_items()

    def store(self) -> Store:
        """The place, on this worker."""
        return make_store(self.files.base, self.files.mode, self.files.directory_mode)

    def publisher(self) -> Publisher:
        """What makes the files."""
        return Publisher(
            self.store(),
            self.exporter,
            self.stream,
            compression=self.files.file_compression,
            framing=_LINES,
            max_bytes=self.files.rotate_size,
            window_secs=self.files.rotate_interval_secs,
            delay_msec=self.files.file_window_delay_msec or 0,
        )

    def open(self) -> Connection:
        """A connection that makes a part for each window of a bundle."""
        return _SpoolConnection(self)


class _Part:
    """A part that is being written."""

    def __init__(self, part: SpooledPart, writer: PartWriter) -> None:
        self.part = part
        self.writer = writer
        self.pieces: list[Piece] = []


class _SpoolConnection(Connection):
    """The parts of a bundle; `flush` completes them."""

    def __init__(self, driver: SpoolDriver) -> None:
        super().__init__()
        self._driver = driver
        self._store = driver.store()
        self._spool = Spool(self._store, driver.exporter, driver.stream)
        self._parts: dict[int, _Part] = {}

    def flush(self) -> None:
        """Puts everything on the disk."""
        parts, self._parts = self._parts, {}
        for each in parts.values():
            each.pieces += each.writer.finish()
            self._spool.complete(each.part, each.pieces)

    def deliver(self, batch: Batch) -> list[Failure]:
        if len(batch.paths) != len(batch):
            message = "files for windows of time need the events; export them with ExportEvents"
            raise DeliveryError(message, self._driver.endpoint)
        for place, payloads, _ in by_path(batch.paths, batch.payloads, ""):
            window, path = split_windowed(place)
            part = self._parts.get(window) or self._begin(window)
            # In a file, payloads are in the order in which they came.
            part.pieces += part.writer.add(path, payloads, ("", time.time_ns()))
        return []

    def _begin(self, window: int) -> _Part:
        part = SpooledPart(window, time.time_ns() // 1_000_000, uuid.uuid4().hex)
        name = self._spool.part_name(part)
        writer = PartWriter(self._store, name, _LINES, self._driver.files.rotate_size, lasting=True)
        self._parts[window] = _Part(part, writer)
        return self._parts[window]

    def release(self) -> None:
        """Closes what a failed bundle left, and removes it."""
        parts, self._parts = self._parts, {}
        for each in parts.values():
            each.writer.abandon()
            with contextlib.suppress(DeliveryError):
                self._store.delete(self._spool.part_name(each.part))
