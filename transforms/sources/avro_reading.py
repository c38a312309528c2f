"""Decodes the records of Avro blocks, and divides large blocks, both in bounded memory.

The decoded value of a record may be 200 times as large as its bytes. So records are decoded from a small window of the
data; a record that is larger than the window is checked for its number of items before it is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources.avro_schema import message_of, message_times, plain_schema, schema_kind
from dovebeam.transforms.sources.block import OVERLONG_HEAD_BYTES, Block
from dovebeam.transforms.sources.messages import is_compressed

__all__ = ["MAX_ITEMS", "MAX_LOST_RECORDS", "AvroRecord", "avro_records", "lost_blocks", "pieces_of", "record_end"]


MAX_ITEMS: Final = 200_000
"""Limit for the items of arrays and maps in one record; an item may have one byte, and takes up to 200 in memory."""

_LONG: Final = frozenset({"int", "long", "enum"})
_SIZED: Final = frozenset({"bytes", "string"})
_FIXED: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_MAX_LONG_BYTES: Final = 10


def record_end(schema: Any, data: bytes, start: int) -> int:
    """Offset of the end of a record.

    Args:
        schema: from `plain_schema`.
        data: holds the record.
        start: offset of the record.

    Raises:
        DecodeError: the record ends beyond the data, is damaged, or has more than `MAX_ITEMS` items.
    """
    walk = _Walk(data, start)
    walk.over(schema)
    return walk.position


class _Walk:
    """Skips values without building them.

    Attributes:
        position: offset of the next byte.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._items = 0
        self.position = start

    def over(self, schema: Any) -> None:
        """Skips one value of this type."""
        if isinstance(schema, list):
            index = self._long()
            if not 0 <= index < len(schema):
                raise DecodeError(f"a union has no branch {index}", self.position)
            self.over(schema[index])
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "record":
            for member in schema["fields"]:
                self.over(member["type"])
        elif kind == "array":
            self._blocks(schema["items"], keyed=False)
        elif kind == "map":
            self._blocks(schema["values"], keyed=True)
        elif kind in _SIZED:
            self._skip(self._long())
        elif kind in _LONG:
            self._long()
        else:
            self._skip(_FIXED[kind])

    def _blocks(self, items: Any, *, keyed: bool) -> None:
        while count := self._long():
            if count < 0:  # then the size of these items follows
                count = -count
                self._long()
            self._items += count
            if self._items > MAX_ITEMS:
                raise DecodeError(f"the record has more than {MAX_ITEMS} items in its arrays and maps", self.position)
            for _ in range(count):
                if keyed:
                    self._skip(self._long())
                self.over(items)

    def _skip(self, size: int) -> None:
        # A negative size would move back, and could loop.
        if not 0 <= size <= len(self._data) - self.position:
            raise DecodeError(f"a value of {size} bytes ends beyond the block", self.position)
        self.position += size

    def _long(self) -> int:
        number = 0
        for index in range(_MAX_LONG_BYTES):
            self._skip(1)
            byte = self._data[self.position - 1]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise DecodeError("a number has more than 64 bits", self.position)


_WINDOW_BYTES: Final = 256 * 1024  # the largest real event seen has 7 KiB


class AvroRecord(NamedTuple):
    """One record of a block, or the rest of the block that cannot be decoded.

    Attributes:
        number: of the record in the Avro block, from 0.
        start: offset of its bytes in the block's data.
        raw: its bytes in Avro's binary encoding; of a broken one, the first bytes of the rest of the block.
        value: for `event_from_avro`; None if it is broken.
        error: why it is broken, or None.
        lost: number of records that are lost with a broken one, including itself; 0 if it is whole.
    """

    number: int
    start: int
    raw: bytes
    value: Any
    error: DecodeError | None = None
    lost: int = 0


def avro_records(block: Block) -> Iterator[AvroRecord]:
    """All records of a block of format avro; a broken one comes with its error, which is not raised.

    Strings that are not UTF-8 have surrogate escapes.
    """
    decoder = _Decoder(block)
    start = 0
    for number in range(block.first_record, block.first_record + block.records):
        try:
            value, end = decoder.decode(start)
        except MemoryError:
            raise
        except Exception as error:  # of fastavro, of many kinds
            why = error.reason if isinstance(error, DecodeError) else f"{type(error).__name__}: {error}"
            # The end of a record is known only by decoding it, so all records after a broken one are lost with it.
            yield _broken(block, number, start, f"not decodable ({why})")
            return
        yield AvroRecord(number, start, block.data[start:end], value)
        start = end
    if start < len(block.data):
        yield _broken(block, block.first_record + block.records, start, "behind the last record of the block")


class _Decoder:
    """Decodes the records of a block, from front to back."""

    def __init__(self, block: Block) -> None:
        from fastavro import schemaless_reader  # noqa: PLC0415  few jobs need it

        self._read = schemaless_reader
        self._schema = plain_schema(block.schema)
        self._data = block.data
        self._window = io.BytesIO()
        self._begin = self._end = 0

    def decode(self, start: int) -> tuple[Any, int]:
        """The record at an offset, and the offset of its end."""
        # Three tries: in the present window, in a new one that begins with the record, and, if the record is larger
        # than a window and its items are not too many, in a window of exactly the record. An error counts only where
        # the window reaches to the end of the data: elsewhere it may only mean that the window is too short.
        try:
            return self._decode(start)
        except Exception:
            if self._end == len(self._data) and self._begin <= start < self._end:
                raise
        self._open(start, start + _WINDOW_BYTES)
        try:
            return self._decode(start)
        except Exception:
            if self._end == len(self._data):
                raise
        self._open(start, record_end(self._schema, self._data, start))
        return self._decode(start)

    def _open(self, begin: int, end: int) -> None:
        self._begin, self._end = begin, min(end, len(self._data))
        self._window = io.BytesIO(self._data[begin : self._end])

    def _decode(self, start: int) -> tuple[Any, int]:
        self._window.seek(start - self._begin)
        value = self._read(self._window, self._schema, None, handle_unicode_errors="surrogateescape")
        return value, self._begin + self._window.tell()


def _broken(block: Block, number: int, start: int, why: str) -> AvroRecord:
    reason = f"record {number} of the Avro block at byte {block.offset} and all behind it: {why}"
    lost = max(1, block.first_record + block.records - number)
    raw = block.data[start : start + OVERLONG_HEAD_BYTES]
    return AvroRecord(number, start, raw, None, DecodeError(reason, start), lost)


# Division of large blocks, so that the memory for the events of one block is bounded. Writers choose the size of their
# blocks, and a block of a few kilobytes can be decompressed to millions of records.

_MAX_BYTES: Final = 2 * 1024 * 1024  # blocks of an archive have 1 MiB
_MAX_RECORDS: Final = 20_000
_PIECE_BYTES: Final = 1024 * 1024
MAX_LOST_RECORDS: Final = 1000
"""Limit for the lost records of one block, since each of them becomes a reject."""


def pieces_of(block: Block) -> Iterator[Block]:
    """The block itself if it is small, or else several blocks with some of its records each."""
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
        # A compressed message may hold as many events as many blocks, so it ends its piece.
        compressed = times is not None and is_compressed(*message_of(record.value, times))
        if compressed or end - start >= _PIECE_BYTES or record.number + 1 - first >= _MAX_RECORDS:
            yield from _piece(block, first, record.number + 1 - first, start, end)
            first, start = record.number + 1, end
    yield from _piece(block, first, block.first_record + block.records - first, start, len(block.data))


def lost_blocks(block: Block, events: int) -> Iterator[Block]:
    """Blocks with `damage` for a number of lost events, at least one block; the first one has the data.

    Args:
        block: with the damage.
        events: number of events that are lost.
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
