r"""Segments of a queue: the payloads of a bundle for one exporter, as the bytes of a file and as its name.

    dovebeam queue 1\n
    CRC-32 of the rest, 4 bytes, big-endian
    MessagePack: a list of batches, each with its payloads and where they came from

Text is kept as bytes, because names of files and metrics need not be UTF-8.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

import msgspec

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.outcome import PayloadBatch
from dovebeam.transforms.sources import MessageOrigin

__all__ = ["MIN_DISK_BYTES", "SegmentName", "decode_segment", "encode_segment"]

MIN_DISK_BYTES: Final = 4096
"""What a file of a few bytes takes on most file systems."""

_MAGIC: Final = b"dovebeam queue 1\n"
_HEAD_BYTES: Final = len(_MAGIC) + 4
_NAME: Final = re.compile(r"([0-9]{20})\.([0-9]{1,12})\.([0-9]{1,12})", re.ASCII)


class SegmentName(NamedTuple):
    """The name of a segment says what whoever only lists the queue wants to know.

    Attributes:
        number: place in the order of the queue.
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
        """About what it takes on the disk."""
        return max(self.size, MIN_DISK_BYTES)


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A `PayloadBatch`; names of metrics are written once."""

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
    """The bytes of a segment of these batches, none of which was a reject before."""
    body = _encoder.encode([_entry(batch) for batch in batches])
    return b"%b%b%b" % (_MAGIC, zlib.crc32(body).to_bytes(4), body)


def decode_segment(content: bytes, path: str) -> list[PayloadBatch]:
    """The batches of a segment.

    Args:
        content: bytes of the file.
        path: of the file, for the error.

    Raises:
        DeliveryError: they are damaged, or are something else.
    """
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
        raise ValueError("it names a metric that is not there")
    return PayloadBatch(
        entry.payloads,
        [names[number] for number in entry.metrics],
        entry.offsets,
        _to_text(entry.source_uri),
        [_to_text(path) for path in entry.paths],
        messages=entry.messages,
    )


def _check_counts(count: int, *lists: Sequence[object]) -> None:
    """Of each payload everything is known, or of none."""
    if any(len(each) not in {0, count} for each in lists):
        raise ValueError("it does not say the same of all payloads")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
