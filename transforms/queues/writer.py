"""Puts the payloads of a bundle into the queues of their exporters."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable
from typing import Final

from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.local_files import sync_directory, write_new
from dovebeam.transforms.outcome import PayloadBatch
from dovebeam.transforms.plan.queue import Queue
from dovebeam.transforms.queues.segments import SegmentName, encode_segment

__all__ = ["QueueWriter"]

_SEGMENT_BYTES: Final = 4 * 1024 * 1024
_PRIVATE: Final = 0o600


class QueueWriter:
    """Writes what a bundle brings, and gives it to the queues when the bundle has brought everything.

    One thread at a time may use it. Numbers follow the clock, but never go back behind what is in the queue, so the
    payloads of one exporter keep their order over restarts.

    Guarantee: when `commit` returns, all payloads that were added are in their queues, also after a power failure. If
    it raises, or is never called, none or some are.

    Args:
        root: the directory of all queues of a stream.
        exporters: their names.
    """

    def __init__(self, root: str, exporters: Iterable[str]) -> None:
        self._inlets = {name: _Inlet(Queue(root, name)) for name in exporters}

    def begin(self) -> None:
        """Forgets what a failed bundle brought."""
        for inlet in self._inlets.values():
            inlet.abandon()

    def is_full(self, exporter: str) -> bool:
        """Whether an exporter lags so far behind that its bundle should wait."""
        return self._inlets[exporter].queue.is_full

    def add(self, exporter: str, batch: PayloadBatch) -> None:
        """Takes payloads for an exporter.

        Raises:
            DeliveryError: they cannot be written.
        """
        self._inlets[exporter].add(batch)

    def commit(self) -> int:
        """Gives everything to the queues; how many payloads that were.

        Raises:
            DeliveryError: something cannot be written.
        """
        for inlet in self._inlets.values():
            inlet.write()  # the disk may be full: first all is written, then all gets its name
        return sum(inlet.publish() for inlet in self._inlets.values())


class _Inlet:
    """What a bundle has for one queue: payloads in memory, and segments that are written and have no name yet."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        queue.make()
        self._last = max((name.number for name in queue.names()), default=0)
        self._batches: list[PayloadBatch] = []
        self._size = 0
        self._written: list[tuple[str, SegmentName]] = []

    def add(self, batch: PayloadBatch) -> None:
        self._batches.append(batch)
        self._size += sum(map(len, batch.payloads))
        if self._size >= _SEGMENT_BYTES:
            self.write()

    def write(self) -> None:
        """Puts what is in memory on the disk."""
        batches, self._batches, self._size = self._batches, [], 0
        if not batches:
            return
        content = encode_segment(batches)
        self._last = max(self._last + 1, time.time_ns())
        name = SegmentName(self._last, sum(map(len, batches)), len(content))
        path = os.path.join(self.queue.directory, f".{name.number:020}.{secrets.token_hex(4)}")
        try:
            write_new(path, content, _PRIVATE)
        except OSError as error:
            _remove(path)
            raise delivery_error("write", path, error) from error
        self._written.append((path, name))

    def publish(self) -> int:
        """Gives all segments their names."""
        if not self._written:
            return 0
        directory = self.queue.directory
        count = 0
        try:
            while self._written:
                path, name = self._written[0]
                os.rename(path, os.path.join(directory, str(name)))
                del self._written[0]
                count += name.events
            sync_directory(directory)
        except OSError as error:
            raise delivery_error("rename", directory, error) from error
        return count

    def abandon(self) -> None:
        self._batches, self._size = [], 0
        for path, _ in self._written:
            _remove(path)
        self._written = []


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
