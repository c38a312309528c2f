"""What can be read of a damaged Avro file, and where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from dovebeam.transforms.sources.avro_files import AvroContainer, AvroFrame
from dovebeam.transforms.sources.avro_pieces import pieces_of
from dovebeam.transforms.sources.avro_reading import avro_records
from dovebeam.transforms.sources.block import OVERLONG_HEAD_BYTES, Block
from dovebeam.transforms.sources.errors import DamagedError
from dovebeam.transforms.sources.streams import ByteStream

__all__ = ["Gap", "salvaged"]

_UNKNOWN: Final = 2**62


class Gap(NamedTuple):
    """A place at which a file cannot be read.

    Attributes:
        uri: the file.
        offset: of the broken block.
        why: what is wrong.
        events: how many are lost there at most.
        data: the first of the bytes that cannot be read, as they are stored or unpacked.
    """

    uri: str
    offset: int
    why: str
    events: int
    data: bytes = b""


def salvaged(stream: ByteStream, uri: str) -> Iterator[Block | Gap]:
    """The records of a file that can be told apart, and its gaps, in their order.

    The number of records that a block claims is not believed: it is how many can be decoded out of its data.

    Args:
        stream: stands at the start of the file.
        uri: what it is called.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        container = AvroContainer(stream)
        for frame in container.frames():
            yield from _records(container, frame, uri)
    except DamagedError as error:
        yield Gap(uri, error.content_offset, error.message, _UNKNOWN)


def _records(container: AvroContainer, frame: AvroFrame, uri: str) -> Iterator[Block | Gap]:
    try:
        block = container.block(frame)
    except DamagedError as error:
        yield Gap(uri, frame.offset, error.message, frame.records, frame.data[:OVERLONG_HEAD_BYTES])
        return
    whole, end, why = 0, 0, ""
    for record in avro_records(msgspec.structs.replace(block, records=len(block.data))):
        if record.error is not None:
            why = record.error.reason
            break
        whole, end = whole + 1, record.start + len(record.raw)
    if whole:
        yield from pieces_of(msgspec.structs.replace(block, data=block.data[:end], records=whole))
    if end < len(block.data):
        rest = block.data[end : end + OVERLONG_HEAD_BYTES]
        yield Gap(uri, frame.offset, why, max(1, frame.records - whole), rest)
    elif whole != frame.records:
        why = f"the Avro block at byte {frame.offset} says that it has {frame.records} records, and has {whole}"
        yield Gap(uri, frame.offset, why, max(0, frame.records - whole))
