"""The queue of one exporter on disk: a directory of segments, delivered in the order of their numbers.

    01795604400123456789.500.231877    a segment: its number, number of payloads, bytes
    .01795604400123456790.4f1e         a segment that is being written
    full                               mark: nothing more should be added

A segment gets its name when it is on the disk, and is removed when all of its payloads were delivered or rejected.
Bundles of a stream add segments with `QueueWriter`; the launcher reads and removes them with `Queue`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

import msgspec

from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.file.names import encode_value, short_name
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import make_private_directory, sync_directory, write_new
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.sources import MessageOrigin

__all__ = ["Queue", "QueueWriter", "SegmentName", "decode_segment", "encode_segment", "make_directory"]


MIN_DISK_BYTES: Final = 4096
"""Disk space of a file of a few bytes on most file systems."""

_MAGIC: Final = b"dovebeam queue 1\n"
_HEAD_BYTES: Final = len(_MAGIC) + 4  # with a CRC-32 of the body
_NAME: Final = re.compile(r"([0-9]{20})\.([0-9]{1,12})\.([0-9]{1,12})", re.ASCII)


# The counts are in the name so that the backlog of a queue is known by listing it, without reading its segments.
class SegmentName(NamedTuple):
    """Name of a segment, with its counts.

    Attributes:
        number: position in the order of the queue; nanoseconds since 1970, or one more than the number before.
        events: number of payloads.
        size: bytes of the file.
    """

    number: int
    events: int
    size: int

    def __str__(self) -> str:
        return f"{self.number:020}.{self.events}.{self.size}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """The segment of this name; None if the file is something else."""
        found = _NAME.fullmatch(text)
        return None if found is None else cls(*map(int, found.groups()))

    @property
    def disk_bytes(self) -> int:
        """Approximate disk space of the segment."""
        return max(self.size, MIN_DISK_BYTES)


# Texts are bytes in here: paths and names may have bytes that are not UTF-8, which msgpack's strings cannot have.
class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A `PayloadBatch` as it is stored; each name of a metric is written once."""

    payloads: list[bytes]
    source_uri: bytes
    names: list[bytes]
    metrics: list[int]
    offsets: list[int | None]
    paths: list[bytes]
    messages: tuple[MessageOrigin, ...]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[_Entry])


def encode_segment(batches: Iterable[PayloadBatch]) -> bytes:
    """The bytes of a segment of these batches.

    Args:
        batches: without `records`, which only re-sending has.
    """
    body = _encoder.encode([_entry(batch) for batch in batches])
    return b"%b%b%b" % (_MAGIC, zlib.crc32(body).to_bytes(4), body)


def decode_segment(content: bytes, path: str) -> list[PayloadBatch]:
    """The batches of a segment.

    Args:
        content: bytes of the file.
        path: of the file, for the error.

    Raises:
        DeliveryError: the content is damaged, or not a segment.
    """
    # Segments are synced before they are named, so damage is the disk's or a person's: nothing is skipped silently.
    body = content[_HEAD_BYTES:]
    if content[:_HEAD_BYTES] != b"%b%b" % (_MAGIC, zlib.crc32(body).to_bytes(4)):
        raise _damaged(path, "its checksum is wrong")
    try:
        return [_batch(entry) for entry in _decoder.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: str, why: str) -> DeliveryError:
    return DeliveryError(
        f"{path} is damaged ({why}); restore it, or move it away: the payloads that it held are then not delivered",
        path,
    )


def _entry(batch: PayloadBatch) -> _Entry:
    names = {name: number for number, name in enumerate(dict.fromkeys(batch.metrics))}
    return _Entry(
        batch.payloads,
        _to_bytes(batch.source_uri),
        [_to_bytes(name) for name in names],
        [names[name] for name in batch.metrics],
        batch.offsets,
        [_to_bytes(path) for path in batch.paths],
        batch.messages,
    )


def _batch(entry: _Entry) -> PayloadBatch:
    count = len(entry.payloads)
    _check_counts(count, entry.metrics, entry.offsets, entry.paths)
    names = [_to_text(name) for name in entry.names]
    if any(not 0 <= number < len(names) for number in entry.metrics):
        raise ValueError("it refers to a metric name that it does not have")
    return PayloadBatch(
        entry.payloads,
        [names[number] for number in entry.metrics],
        entry.offsets,
        _to_text(entry.source_uri),
        [_to_text(path) for path in entry.paths],
        messages=entry.messages,
    )


def _check_counts(count: int, *lists: Sequence[object]) -> None:
    """Raises ValueError unless each list has an item for every payload, or none at all."""
    if any(len(each) not in {0, count} for each in lists):
        raise ValueError("its lists have different lengths")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# The reading side of a queue.

_FULL: Final = "full"
_UNFINISHED: Final = "."
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARK: Final = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Queue:
    """Directory of the segments that wait for one exporter.

    Args:
        root: the directory of all queues of a stream.
        exporter: name of the exporter.
    """

    def __init__(self, root: str, exporter: str) -> None:
        self.directory: Final = os.path.join(root, short_name(encode_value(exporter)))
        self._full: Final = os.path.join(self.directory, _FULL)

    def make(self) -> None:
        """Creates the directory if it is missing; its parent must exist.

        Raises:
            DeliveryError: it cannot be created.
        """
        make_directory(self.directory)

    def names(self) -> list[SegmentName]:
        """All segments, in their order.

        Raises:
            DeliveryError: the directory cannot be read.
        """
        return sorted(name for name in map(SegmentName.of, self._list()) if name is not None)

    def read(self, name: SegmentName) -> list[PayloadBatch]:
        """The payloads of a segment.

        Raises:
            DeliveryError: it is missing, damaged or cannot be read.
        """
        path = os.path.join(self.directory, str(name))
        try:
            with open(os.open(path, _READ), "rb") as file:
                # One byte more than it should have shows a file that is longer, without reading all of that.
                content = file.read(name.size + 1)
        except OSError as error:
            raise delivery_error("open", path, error) from error
        return decode_segment(content, path)

    def remove(self, names: Iterable[SegmentName]) -> None:
        """Removes segments whose payloads were all delivered or rejected.

        Raises:
            DeliveryError: a segment cannot be removed; those before it are removed.
        """
        for name in names:
            path = os.path.join(self.directory, str(name))
            # No sync of the directory: a name that comes back after a power failure is delivered a second time, which
            # at-least-once allows.
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise delivery_error("unlink", path, error) from error

    def remove_unfinished(self) -> None:
        """Removes unfinished segments of writers that failed or were killed; no writer may be active.

        Raises:
            DeliveryError: the directory cannot be read.
        """
        for text in self._list():
            if text.startswith(_UNFINISHED):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.directory, text))

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be added for now."""
        return os.path.exists(self._full)

    # A file, because the workers that add may be other processes than the launcher that marks.
    def mark_full(self, *, is_full: bool) -> None:
        """Sets or removes the mark of a full queue; failures are ignored, since the limit is not exact anyway."""
        with contextlib.suppress(OSError):
            if is_full:
                os.close(os.open(self._full, _MARK, 0o600))
            else:
                os.unlink(self._full)

    def _list(self) -> Sequence[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise delivery_error("listdir", self.directory, error) from error


def make_directory(path: str) -> None:
    """Creates a directory of mode 0700, if it is missing.

    Raises:
        DeliveryError: it cannot be created.
    """
    try:
        make_private_directory(path)
    except OSError as error:
        raise delivery_error("mkdir", path, error) from error


# The writing side of queues.

_SEGMENT_BYTES: Final = 4 * 1024 * 1024  # bounds the memory of a bundle, and of whoever reads a segment
_PRIVATE: Final = 0o600


class QueueWriter:
    """Adds the payloads of a bundle to the queues of their exporters, all of them at its end.

    One thread at a time may use it. Numbers follow the clock, but never go back behind what is in the queue, so the
    payloads of one exporter keep their order over restarts.

    Guarantee: when `commit` returns, all payloads that were added are in their queues, also after a power failure. If
    it raises, or is never called, none or some are.

    Args:
        root: the directory of all queues of a stream.
        exporters: names of the exporters.
    """

    def __init__(self, root: str, exporters: Iterable[str]) -> None:
        self._inlets = {name: _Inlet(Queue(root, name)) for name in exporters}

    def begin(self) -> None:
        """Starts a bundle; payloads of one that failed are dropped."""
        for inlet in self._inlets.values():
            inlet.abandon()

    def is_full(self, exporter: str) -> bool:
        """Whether an exporter is so far behind that the bundle should wait."""
        return self._inlets[exporter].queue.is_full

    def add(self, exporter: str, batch: PayloadBatch) -> None:
        """Takes payloads for an exporter; large amounts go to the disk at once, without a name yet.

        Raises:
            DeliveryError: the disk refuses them.
        """
        self._inlets[exporter].add(batch)

    def commit(self) -> int:
        """Adds the segments of the bundle to the queues; returns the number of payloads.

        Raises:
            DeliveryError: a segment cannot be written or named.
        """
        # All segments are written before the first gets its name: a full disk then fails the bundle while nothing of
        # it is in any queue, and its repetition brings no duplicates.
        for inlet in self._inlets.values():
            inlet.write()
        return sum(inlet.publish() for inlet in self._inlets.values())


class _Inlet:
    """Payloads of a bundle for one queue: some in memory, others in segments on the disk without a name yet."""

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
        """Writes the payloads in memory to a segment."""
        batches, self._batches, self._size = self._batches, [], 0
        if not batches:
            return
        content = encode_segment(batches)
        # A clock that was set back must not put new payloads before older ones.
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
        """Gives all written segments their names; returns the number of payloads."""
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
            # One sync for all names: only after it does the source acknowledge the bundle.
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
