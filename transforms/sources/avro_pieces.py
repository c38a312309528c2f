"""Large blocks of Avro in pieces, so that what is made of one at a time is bounded.

Writers choose how large their blocks are, and a block of a few kilobytes can be unpacked to millions of records. A
message that is compressed may be as large as many blocks, so no piece has two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from dovebeam.transforms.sources.avro_messages import message_of
from dovebeam.transforms.sources.avro_reading import AvroRecord, avro_records
from dovebeam.transforms.sources.avro_schema import message_times, schema_kind
from dovebeam.transforms.sources.block import Block
from dovebeam.transforms.sources.message_encoding import is_compressed

__all__ = ["MAX_LOST_RECORDS", "lost_blocks", "pieces_of"]

_MAX_BYTES: Final = 2 * 1024 * 1024  # blocks of an archive have 1 MiB
_MAX_RECORDS: Final = 20_000
_PIECE_BYTES: Final = 1024 * 1024
MAX_LOST_RECORDS: Final = 1000
"""For how many lost records one block stands."""


def pieces_of(block: Block) -> Iterator[Block]:
    """A block as it is if it is small, or else blocks of some of its records each."""
    times = message_times(block.schema) if schema_kind(block.schema) == "messages" else None
    if len(block.data) <= _MAX_BYTES and block.records <= _MAX_RECORDS and times is None:
        if block.records or block.data:
            yield block
        return
    first, start = block.first_record, 0
    for record in avro_records(block):
        if record.error is not None:
            yield from _piece(block, first, record.number - first, start, record.start)
            yield from lost_blocks(_damaged(block, record), record.lost)
            return
        end = record.start + len(record.raw)
        compressed = times is not None and is_compressed(*message_of(record.value, times))
        if compressed or end - start >= _PIECE_BYTES or record.number + 1 - first >= _MAX_RECORDS:
            yield from _piece(block, first, record.number + 1 - first, start, end)
            first, start = record.number + 1, end
    yield from _piece(block, first, block.first_record + block.records - first, start, len(block.data))


def lost_blocks(block: Block, events: int) -> Iterator[Block]:
    """A block with `damage` for so many events, as some blocks that each stand for no more than one can.

    There is one at least; the first one has the data.
    """
    while True:
        yield msgspec.structs.replace(block, records=min(events, MAX_LOST_RECORDS))
        events -= MAX_LOST_RECORDS
        if events <= 0:
            return
        block = msgspec.structs.replace(block, data=b"")


def _damaged(block: Block, record: AvroRecord) -> Block:
    return msgspec.structs.replace(
        block, data=record.raw, inner_offset=block.inner_offset + record.start, schema=b"", damage=str(record.error)
    )


def _piece(block: Block, first: int, records: int, start: int, end: int) -> Iterator[Block]:
    if records:
        yield msgspec.structs.replace(
            block,
            data=block.data[start:end],
            records=records,
            first_record=first,
            inner_offset=block.inner_offset + start,
        )
