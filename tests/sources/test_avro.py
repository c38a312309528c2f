"""Avro containers: what any writer makes of events is read, and what is damaged, foreign or hostile is refused."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Iterable
from typing import Any

import fastavro
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AVRO_SCHEMA, event_from_avro, event_to_avro
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.sources import Block, FileStream, SourceError, avro_records, read_avro_blocks
from support.avro_files import long
from support.strategies import events

EVENTS = [make_event(f"event{number}", fields={"user": f"u{number}", "n": number}) for number in range(300)]
CODECS = ["null", "deflate", "bzip2", "xz", "zstandard"]


def container(items: Iterable[Event], codec: str = "deflate", **options: Any) -> bytes:
    """A file as fastavro writes it."""
    file = io.BytesIO()
    written = "null" if codec == "zstandard" else codec
    fastavro.writer(file, AVRO_SCHEMA, [event_to_avro(event) for event in items], codec=written, **options)
    return repacked(file.getvalue()) if codec == "zstandard" else file.getvalue()


def repacked(data: bytes) -> bytes:
    """The same with zstandard, for which fastavro needs another library than ours."""
    parts = [header(b"zstandard")]
    for block in read(data):
        packed = zstandard.compress(block.data)
        parts.append(long(block.records) + long(len(packed)) + packed + bytes(16))
    return b"".join(parts)


def foreign(schema: object, records: list[dict[str, Any]]) -> bytes:
    """A file with another schema."""
    file = io.BytesIO()
    fastavro.writer(file, schema, records)  # type: ignore[arg-type]
    return file.getvalue()


def read(data: bytes, **options: int) -> list[Block]:
    """All blocks."""
    return list(read_avro_blocks(FileStream(io.BytesIO(data), "file"), **options))


def decode(blocks: Iterable[Block]) -> list[Event]:
    """All events; every record must be whole."""
    found = []
    for block in blocks:
        for record in avro_records(block):
            assert record.error is None
            found.append(event_from_avro(record.value))
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(codec: str) -> None:
    """All records in order, in blocks as they were written, each with the offset of its block in the file."""
    data = container(EVENTS, codec, sync_interval=1000)
    blocks = read(data)
    assert decode(blocks) == EVENTS
    assert sum(block.records for block in blocks) == len(EVENTS)
    assert len(blocks) > 3
    if codec != "zstandard":
        assert [block.offset for block in blocks] == [block.offset for block in fastavro.block_reader(io.BytesIO(data))]


@given(st.lists(events(), max_size=4))
def test_any_events(items: list[Event]) -> None:
    """Writing and reading gives the same events."""
    assert decode(read(container(items))) == items


def test_records_have_their_own_bytes() -> None:
    """The bytes of the records of a block, one after another, are the block."""
    (block,) = read(container(EVENTS))
    records = list(avro_records(block))
    assert [record.number for record in records] == list(range(len(EVENTS)))
    assert b"".join(record.raw for record in records) == block.data


def test_text_that_is_not_utf8_survives() -> None:
    """A writer that puts other bytes into a string breaks Avro's rule, but nothing is lost."""
    block = read(container([make_event("caf\u00e9")], "null"))[0]
    damaged = Block("file", 0, block.data.replace("\u00e9".encode(), b"\xe9\xe9"), "avro", 0, 1, block.schema)
    (record,) = avro_records(damaged)
    assert record.value["name"] == "caf\udce9\udce9"


def test_a_broken_record_takes_the_rest_of_its_block_with_it() -> None:
    """The records before it are given; it and all behind it come as one, with their bytes and the reason."""
    block = read(container(EVENTS[:3], "null"))[0]
    whole = list(avro_records(block))
    cut = Block("file", 77, block.data[:-3], "avro", 0, 3, block.schema)
    records = list(avro_records(cut))
    assert records[:2] == whole[:2]
    assert records[2].raw == whole[2].raw[:-3]
    assert records[2].error is not None
    assert "record 2 of the Avro block at byte 77" in str(records[2].error)
    more = list(avro_records(Block("file", 0, block.data, "avro", 0, 2, block.schema)))
    assert more[2].raw == whole[2].raw
    assert "behind the last record" in str(more[2].error)


@pytest.mark.parametrize("codec", CODECS)
def test_every_cut_is_noticed(codec: str) -> None:
    """A file that ends anywhere but between blocks is an error with the place."""
    data = container(EVENTS[:20], codec, sync_interval=300)
    whole = {block.offset for block in read(data)}
    for end in range(len(data)):
        if end not in whole:
            with pytest.raises(SourceError, match=f"^file, byte {end}: the Avro file is cut off"):
                read(data[:end])


@pytest.mark.parametrize("codec", CODECS)
def test_damage_raises_nothing_else(codec: str) -> None:
    """Changed bytes end in SourceError, in broken records or in other records."""
    data = container(EVENTS[:30], codec)
    for seed in range(300):
        rng = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        try:
            for block in read(bytes(damaged)):
                for _record in avro_records(block):
                    pass
        except SourceError as error:
            assert error.uri == "file"


def schema_with(**changes: Any) -> dict[str, Any]:
    """Our schema, changed."""
    return {**copy.deepcopy(dict(AVRO_SCHEMA)), **changes}


NAME = {"name": "name", "type": ["null", "string"]}


@pytest.mark.parametrize(
    ("schema", "record"),
    [
        pytest.param(schema_with(name="Root", namespace="x"), {}, id="other-name"),
        pytest.param(schema_with(fields=[NAME]), {"name": "x"}, id="fewer-members"),
        pytest.param(schema_with(fields=[{**NAME, "type": ["string", "null"]}]), {"name": "x"}, id="union-order"),
        pytest.param(schema_with(fields=[{**NAME, "type": "string"}]), {"name": "x"}, id="no-union"),
        pytest.param(schema_with(fields=[{**NAME, "type": {"type": "string"}}]), {"name": "x"}, id="long-form"),
    ],
)
def test_schemas_of_other_writers(schema: dict[str, Any], record: dict[str, Any]) -> None:
    """What other tools make of our schema is read."""
    (event,) = decode(read(foreign(schema, [record])))
    assert event.name == (record.get("name"))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        pytest.param({"type": "string"}, "not that of a record", id="no-record"),
        pytest.param(schema_with(fields=[]), "no members", id="empty"),
        pytest.param(schema_with(fields=[{"name": "user", "type": "string"}]), "its records have user", id="foreign"),
        pytest.param(schema_with(fields=[{**NAME, "type": "null"}]), "type 'null'", id="null"),
        pytest.param(
            schema_with(fields=[{**NAME, "type": {"type": "fixed", "name": "f", "size": 0}}]), "'fixed'", id="fixed"
        ),
        pytest.param(
            schema_with(fields=[{**NAME, "type": {"type": "array", "items": "null"}}]), "type 'null'", id="nulls"
        ),
        pytest.param(schema_with(fields=[{**NAME, "type": ["null", "DovecotEvent"]}]), "DovecotEvent", id="recursion"),
        pytest.param(schema_with(fields=[{**NAME, "type": []}]), "empty union", id="empty-union"),
        pytest.param(schema_with(fields=[{**NAME, "type": "array"}]), "type 'array'", id="array-of-nothing"),
        pytest.param(schema_with(fields=[{"name": "name"}]), "type 'None'", id="no-type"),
        pytest.param(schema_with(fields=[NAME, NAME]), "has a member twice", id="twice"),
    ],
)
def test_schemas_that_are_not_of_events(schema: dict[str, Any], message: str) -> None:
    """A file that holds no events, or whose schema lets few bytes be many records, is refused before it is decoded."""
    text = json.dumps(schema).encode()
    data = b"Obj\x01" + long(1) + long(11) + b"avro.schema" + long(len(text)) + text + b"\0" + bytes(16)
    with pytest.raises(SourceError, match=message):
        read(data)


def header(codec: bytes = b"null") -> bytes:
    """The header of a container up to and with its sync marker."""
    text = json.dumps(dict(AVRO_SCHEMA)).encode()
    entries = {b"avro.schema": text, b"avro.codec": codec}
    packed = b"".join(long(len(key)) + key + long(len(value)) + value for key, value in entries.items())
    return b"Obj\x01" + long(2) + packed + b"\0" + bytes(16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "cut off", id="empty"),
        pytest.param(b'{"event":"x"}', "not an Avro file", id="json"),
        pytest.param(b"Obj\x01" + long(1 << 40), "more than 1000 entries", id="entries"),
        pytest.param(b"Obj\x01" + long(1) + long(1 << 40), "an entry of 1099511627776 bytes", id="entry"),
        pytest.param(b"Obj\x01" + b"\xff" * 20, "more than 64 bits", id="number"),
        pytest.param(header(b"snappy"), "codec 'snappy' is not supported; supported: bzip2", id="codec"),
        pytest.param(header() + long(1) + long(1 << 50), "1125899906842624 bytes and 1 records", id="size"),
        pytest.param(header() + long(-1) + long(1), "-1 records", id="negative-count"),
        pytest.param(header() + long(1 << 50) + long(1) + b"\0" + bytes(16), "in 1 bytes or more", id="count"),
        pytest.param(header() + long(1) + long(9) + bytes(9) + b"x" * 16, "sync marker", id="sync"),
        pytest.param(header(b"deflate") + long(1) + long(3) + b"xyz" + bytes(16), "is damaged", id="deflate"),
        pytest.param(header(b"zstandard") + long(1) + long(3) + b"xyz" + bytes(16), "is damaged", id="zstandard"),
    ],
)
def test_hostile_files(data: bytes, message: str) -> None:
    """Sizes that a file claims are not believed."""
    with pytest.raises(SourceError, match=message):
        read(data)


@pytest.mark.parametrize("codec", CODECS)
def test_large_blocks_are_refused(codec: str) -> None:
    """A block above the limit, packed or unpacked, is refused and not read."""
    data = container([make_event("x" * 100_000)], codec)
    assert len(read(data)) == 1
    with pytest.raises(SourceError, match="the limit is 50000"):
        read(data, max_block_bytes=50_000)


def test_header_with_sizes_and_an_empty_block() -> None:
    """The header's map may say its size, and a block may be empty."""
    plain = header()
    text = plain[5:-17]
    data = b"Obj\x01" + long(-2) + long(len(text)) + text + b"\0" + bytes(16) + long(0) + long(0) + bytes(16)
    assert read(data) == []
