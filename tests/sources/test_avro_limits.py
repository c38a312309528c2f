"""What few bytes of Avro may become: memory and time are bounded by a file's size, whatever it claims to hold."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import Block
from dovebeam.transforms.sources.avro_reading import MAX_ITEMS, avro_records, record_end
from dovebeam.transforms.sources.avro_schema import check_schema, plain_schema
from support.avro_files import long
from support.programs import HANG_SECS

MIB = 1024 * 1024

# Reads a file as an export does, keeps nothing, and tells what it took. Memory is what the process took at its most, less
# what it had before.
READ = """
import json, resource, sys, time
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import FileStream, SourceError, read_avro_blocks
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
import fastavro, zstandard
before, began, events, rejects, error = peak(), time.process_time(), 0, 0, ""
try:
    with FileStream(open(sys.argv[1], "rb"), "file") as stream:
        for block in read_avro_blocks(stream):
            found = decode_block(block)
            events += len(found.decoded.events)
            rejects += len(found.rejects)
except SourceError as caught:
    error = str(caught)
print(json.dumps([events, rejects, error, peak() - before, time.process_time() - began]))
"""


def container(schema: object, records: int, data: bytes, codec: str) -> bytes:
    """A file of one block."""
    text = json.dumps(schema).encode()
    entries = {b"avro.schema": text, b"avro.codec": codec.encode()}
    packed = b"".join(long(len(key)) + key + long(len(value)) + value for key, value in entries.items())
    return b"Obj\x01" + long(2) + packed + b"\0" + bytes(16) + long(records) + long(len(data)) + data + bytes(16)


def deflated(data: bytes) -> bytes:
    """As Avro has it: without a header."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def schema_of(name: str, type_: Any) -> dict[str, Any]:
    """Records of one member."""
    return {"type": "record", "name": "E", "fields": [{"name": name, "type": type_}]}


KEYS = {"type": "array", "items": {"type": "record", "name": "F", "fields": [{"name": "key", "type": "string"}]}}
MESSAGE = {
    "type": "record",
    "name": "M",
    "fields": [{"name": "data", "type": "bytes"}, {"name": "attributes", "type": {"type": "map", "values": "string"}}],
}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 100_000_000, "scale": 2}
ITEMS = 4_500_000
RECORDS = 300_000


def distinct() -> bytes:
    """A million items of a map, no two with one key."""
    return b"".join(long(4) + number.to_bytes(4, "big") + long(0) for number in range(1_000_000))


@pytest.mark.parametrize(
    ("make", "events", "rejects", "error"),
    [
        pytest.param(
            lambda: container(schema_of("fields", KEYS), 1, deflated(long(ITEMS) + bytes(ITEMS) + b"\0"), "deflate"),
            0,
            1,
            "",
            id="array-of-records-of-one-byte",
        ),
        pytest.param(
            lambda: container(schema_of("name", "string"), RECORDS, zstandard.compress(bytes(RECORDS)), "zstandard"),
            RECORDS,
            0,
            "",
            id="records-of-one-byte",
        ),
        pytest.param(
            lambda: container(
                schema_of("categories", {"type": "array", "items": "long"}), 1, long(1 << 60) + bytes(9), "null"
            ),
            0,
            1,
            "",
            id="array-of-a-huge-count",
        ),
        pytest.param(
            lambda: container(MESSAGE, 1, deflated(long(0) + long(1_000_000) + distinct() + b"\0"), "deflate"),
            0,
            1,
            "",
            id="map-of-many-keys",
        ),
        pytest.param(
            lambda: container(
                schema_of("name", DECIMAL), 1, deflated(long(40 * MIB) + b"\x7f" * (40 * MIB)), "deflate"
            ),
            1,
            0,
            "",
            id="decimal",
        ),
        pytest.param(
            lambda: container(schema_of("name", "string"), 1, deflated(bytes(100 * MIB)), "deflate"),
            0,
            0,
            "limit",
            id="bomb",
        ),
        pytest.param(
            lambda: container(schema_of("name", "string"), 1, zstandard.compress(bytes(500 * MIB)), "zstandard"),
            0,
            0,
            "limit",
            id="zstd-bomb",
        ),
        pytest.param(
            lambda: container(
                schema_of("name", "string"),
                1,
                lzma.compress(b"\0", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]),
                "xz",
            ),
            0,
            0,
            "is damaged",
            id="xz-dictionary",
        ),
        pytest.param(
            lambda: b"Obj\x01" + (long(500) + (long(1) + b"a" + long(MIB // 2) + bytes(MIB // 2)) * 20),
            0,
            0,
            "more than 1048576 bytes",
            id="header",
        ),
    ],
)
def test_few_bytes_stay_bounded(
    tmp_path: Path, make: Callable[[], bytes], events: int, rejects: int, error: str
) -> None:
    """Each file takes at most 250 MiB and 60 s of CPU, and what it holds is counted."""
    path = tmp_path / "file.avro"
    path.write_bytes(make())
    ran = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, timeout=HANG_SECS
    )
    found_events, found_rejects, found_error, mib, seconds = json.loads(ran.stdout)
    assert error in found_error
    assert bool(error) == bool(found_error), found_error
    assert (found_events, found_rejects) == (events, rejects)
    assert mib < 250
    assert seconds < 60


def test_logical_types_are_not_read() -> None:
    """A value comes as the type that it is stored in, whatever else its schema says of it."""
    for kind, value in (
        ({"type": "long", "logicalType": "timestamp-micros"}, (1 << 62) - 1),
        ({"type": "int", "logicalType": "date"}, 1 << 30),
        ({"type": "long", "logicalType": "no such", "precision": []}, -1),
    ):
        text = json.dumps(schema_of("start_time_usec", kind)).encode()
        check_schema(text)
        [record] = avro_records(Block("file", 0, long(value), "avro", records=1, schema=text))
        assert record.value == {"start_time_usec": value}


@pytest.mark.parametrize("size", [100, 256 * 1024 - 1, 256 * 1024, 300_000, 5 * MIB])
def test_records_of_any_size(size: int) -> None:
    """Small and large records, in any order, come whole."""
    text = json.dumps(schema_of("name", "string")).encode()
    names = [b"a" * size, b"b", b"c" * size, b"d" * (size - 1), b"", b"e" * size]
    data = b"".join(long(len(name)) + name for name in names)
    records = list(avro_records(Block("file", 0, data, "avro", records=len(names), schema=text)))
    assert [record.value["name"].encode() for record in records] == names
    assert b"".join(record.raw for record in records) == data


def test_too_many_items() -> None:
    """A large record with more items than any event has is a reject that says so; with fewer it is read."""
    text = json.dumps(schema_of("categories", {"type": "array", "items": "string"})).encode()
    item = long(9) + b"a" * 9
    for count, whole in ((MAX_ITEMS, True), (MAX_ITEMS + 1, False)):
        data = long(count) + item * count + b"\0"
        found = decode_block(Block("file", 0, data, "avro", records=1, schema=text))
        assert len(found.decoded.events) == whole
        assert whole or "more than 200000 items" in found.rejects[0].error_message


def test_the_end_of_a_record() -> None:
    """It is where fastavro ends, for every type that a schema may have."""
    type_ = [
        "null",
        {"type": "array", "items": ["boolean", "float", "double", "int", {"type": "map", "values": "bytes"}]},
    ]
    text = json.dumps(schema_of("fields", type_)).encode()
    check_schema(text)
    items = b"\0\1" + b"\2" + bytes(4) + b"\4" + bytes(8) + b"\6" + long(-5) + b"\x08" + long(1) + long(1) + b"k"
    record = long(1) + long(4) + items[:18] + long(-1) + long(99) + items[18:] + long(2) + b"vv" + b"\0" + b"\0"
    assert record_end(plain_schema(text), b"xx" + record + b"yy", 2) == 2 + len(record)
    [found, rest] = avro_records(Block("file", 0, record + b"yy", "avro", records=1, schema=text))
    assert found.raw == record
    assert rest.error is not None
    for end in range(len(record)):
        with pytest.raises(DecodeError):
            record_end(plain_schema(text), record[:end], 0)


@pytest.mark.parametrize("depth", [3, 1000, 100_000])
def test_deep_schemas(depth: int) -> None:
    """Types within types to any depth are refused, and raise nothing else."""
    text = b'{"type":"record","name":"E","fields":[{"name":"name","type":' + b'{"type":' * depth
    text += b'"string"' + b"}" * depth + b"}]}"
    if depth == 3:
        check_schema(text)
    else:
        with pytest.raises(ValueError, match=r"nested too deeply|not JSON"):
            check_schema(text)
