"""The records of an Avro block, each with its own bytes.

What a record becomes may be 200 times as large as its bytes, so records are decoded out of windows: one that is larger
than a window is looked at before it is built.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources.avro_extent import record_end
from dovebeam.transforms.sources.avro_schema import plain_schema
from dovebeam.transforms.sources.block import OVERLONG_HEAD_BYTES, Block

__all__ = ["AvroRecord", "avro_records"]

_WINDOW_BYTES: Final = 256 * 1024  # the largest real event seen has 7 KiB


class AvroRecord(NamedTuple):
    """One record of a block, or the rest of it that is none.

    Attributes:
        number: of the record in the Avro block, from 0.
        start: offset of its bytes in the block's data.
        raw: its bytes in Avro's binary encoding; of a broken one, the first of what is left of the block.
        value: for `event_from_avro`; None if it is broken.
        error: why it is broken, or None.
        lost: how many records are lost with a broken one, itself among them; 0 if it is whole.
    """

    number: int
    start: int
    raw: bytes
    value: Any
    error: DecodeError | None = None
    lost: int = 0


def avro_records(block: Block) -> Iterator[AvroRecord]:
    """All records of a block of format avro; nothing is raised for a broken one.

    As records are told apart only by decoding them, whatever follows a broken one is lost with it. Strings that are not
    UTF-8 come with surrogate escapes.
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
            yield _broken(block, number, start, f"not decodable ({why})")
            return
        yield AvroRecord(number, start, block.data[start:end], value)
        start = end
    if start < len(block.data):
        yield _broken(block, block.first_record + block.records, start, "behind the last record of the block")


class _Decoder:
    """Decodes the records of a block from front to back."""

    def __init__(self, block: Block) -> None:
        from fastavro import schemaless_reader  # noqa: PLC0415  few jobs need it

        self._read = schemaless_reader
        self._schema = plain_schema(block.schema)
        self._data = block.data
        self._window = io.BytesIO()
        self._begin = self._end = 0

    def decode(self, start: int) -> tuple[Any, int]:
        """The record at an offset, and the offset behind it."""
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
