"""The records of an Avro block, each with its own bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources.block import Block

__all__ = ["AvroRecord", "avro_records"]


class AvroRecord(NamedTuple):
    """One record of a block, or the part of it that is none.

    Attributes:
        number: of the record in its block, from 0.
        raw: its bytes in Avro's binary encoding; of a broken one, all that is left of the block.
        value: for `event_from_avro`; None if it is broken.
        error: why it is broken, or None.
    """

    number: int
    raw: bytes
    value: Any
    error: DecodeError | None = None


def avro_records(block: Block) -> Iterator[AvroRecord]:
    """All records of a block of format avro; nothing is raised for a broken one.

    As records are told apart only by decoding them, whatever follows a broken one is given with it, in one.
    Strings that are not UTF-8 come with surrogate escapes.
    """
    from fastavro import schemaless_reader  # noqa: PLC0415  few jobs need it

    schema = _parsed(block.schema)
    data = io.BytesIO(block.data)
    start = 0
    for index in range(block.records):
        try:
            value = schemaless_reader(data, schema, None, handle_unicode_errors="surrogateescape")
        except Exception as error:
            yield _broken(block, index, start, f"not decodable ({type(error).__name__}: {error})")
            return
        end = data.tell()
        yield AvroRecord(index, block.data[start:end], value)
        start = end
    if start < len(block.data):
        yield _broken(block, block.records, start, "behind the last record of the block")


def _broken(block: Block, index: int, start: int, why: str) -> AvroRecord:
    reason = f"record {index} of the Avro block at byte {block.offset} and all behind it: {why}"
    return AvroRecord(index, block.data[start:], None, DecodeError(reason, start))


@lru_cache(maxsize=64)
def _parsed(schema: bytes) -> Any:
    from fastavro import parse_schema  # noqa: PLC0415

    return parse_schema(json.loads(schema))
