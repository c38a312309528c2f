"""Compressed messages: decompressed as their attribute says, within a limit; what cannot be is one reject, as it came."""

from __future__ import annotations

import gzip
import io

import fastavro
import pytest
import zstandard

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.sources import FileStream, read_avro_blocks, unpacked_payload
from dovebeam.transforms.sources.messages import MAX_MESSAGE_BYTES
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of
from support.avro_files import SUBSCRIPTION, message

LINES = b'{"event":"a"}\n{"event":"b"}\n'
GZIP, ZSTD = gzip.compress(LINES, mtime=0), zstandard.compress(LINES)
BOMB = gzip.compress(bytes(MAX_MESSAGE_BYTES + 1))

Attributes = tuple[tuple[str, str], ...]


def said(value: str, name: str = "Content-Encoding") -> Attributes:
    """The attribute, beside another one."""
    return ("origin", "mail1"), (name, value)


GOOD = [
    (LINES, ()),
    (LINES, said("identity")),
    (LINES, said("")),
    (GZIP, said("gzip")),
    (GZIP, said("GZip", "content-encoding")),
    (GZIP, said(" x-gzip ", "CONTENT-ENCODING")),
    (GZIP, said("identity, gzip")),
    (GZIP[:0] + gzip.compress(LINES[:7], mtime=0) + gzip.compress(LINES[7:], mtime=0), said("gzip")),
    (ZSTD, said("zstd")),
    (zstandard.compress(GZIP), said("gzip, zstd")),
    (GZIP, ()),
    (ZSTD, said("identity")),
]
BAD = [
    (GZIP[:-3], said("gzip"), "cannot be decompressed: the gzip data is cut off"),
    (GZIP[:15] + b"\0" + GZIP[16:], said("gzip"), "the gzip data is damaged"),
    (ZSTD[:-3], said("zstd"), "the zstd data is cut off"),
    (LINES, said("gzip"), "does not begin as gzip"),
    (ZSTD, said("gzip"), "does not begin as gzip"),
    (LINES, said("br"), "the Content-Encoding 'br'; supported: gzip, x-gzip, zstd"),
    (b"", said("gzip"), "does not begin as gzip"),
    (GZIP, said("gzip, gzip"), "does not begin as gzip"),
    (GZIP, said("gzip, gzip, gzip, gzip"), "4 Content-Encodings"),
    (BOMB, said("gzip"), "holds more than 16777216 bytes"),
    (zstandard.compress(bytes(200_000_000)), said("zstd"), "holds more than 16777216 bytes"),
    (gzip.compress(BOMB, mtime=0), said("gzip, gzip"), "holds more than 16777216 bytes"),
]


@pytest.mark.parametrize(("data", "attributes"), GOOD)
def test_payload(data: bytes, attributes: Attributes) -> None:
    """Any letter case, several members, several encodings; without an attribute the first bytes decide."""
    assert unpacked_payload(data, attributes) == LINES


@pytest.mark.parametrize(("data", "attributes", "words"), BAD)
def test_payload_that_cannot_be_decompressed(data: bytes, attributes: Attributes, words: str) -> None:
    """Damaged, cut off, something else, too much: one error that says so."""
    with pytest.raises(DecodeError) as caught:
        unpacked_payload(data, attributes)
    assert words in caught.value.reason


def check_reject(reject: Reject, data: bytes, attributes: Attributes, words: str) -> None:
    """The message as it came."""
    assert reject.payload_bytes == data
    assert words in reject.error_message
    about = {each.key: each.value for each in reject.attributes}
    assert about["message_id"] == "1"
    assert set(attributes) <= set(about.items())


@pytest.mark.parametrize(("data", "attributes", "words"), BAD)
def test_live_messages(data: bytes, attributes: Attributes, words: str) -> None:
    """Good and bad ones in any order: all lines of the good ones, one reject for each bad one."""
    payloads = [(GZIP, said("gzip")), (data, attributes), (LINES, ()), (ZSTD, said("zstd"))]
    pulled = [Pulled(f"ack{n}", str(n), payload, 0, "", about) for n, (payload, about) in enumerate(payloads)]
    found = [decode_block(block) for block in blocks_of(pulled, "projects/p/subscriptions/s")]
    assert [event.name for each in found for event in each.decoded.events] == ["a", "b"] * 3
    [reject] = [reject for each in found for reject in each.rejects]
    check_reject(reject, data, attributes, words)


@pytest.mark.parametrize(("data", "attributes", "words"), BAD)
def test_messages_in_avro(data: bytes, attributes: Attributes, words: str) -> None:
    """The same in a file that a Cloud Storage subscription wrote."""
    payloads = [(GZIP, said("gzip")), (data, attributes), (LINES, ()), (ZSTD, said("zstd"))]
    file = io.BytesIO()
    records = [
        {**message(SUBSCRIPTION, payload, n), "attributes": dict(about)} for n, (payload, about) in enumerate(payloads)
    ]
    fastavro.writer(file, SUBSCRIPTION, records)
    file.seek(0)
    found = [decode_block(block) for block in read_avro_blocks(FileStream(file, "file"))]
    assert [event.name for each in found for event in each.decoded.events] == ["a", "b"] * 3
    [reject] = [reject for each in found for reject in each.rejects]
    check_reject(reject, data, attributes, words)
    about = {each.key: each.value for each in reject.attributes}
    assert about["publish_time"] == "2023-11-14T22:13:20.000000Z"


def test_no_two_compressed_messages_are_in_one_block() -> None:
    """Each may be large, so that what is in memory at a time is bounded by one."""
    file = io.BytesIO()
    payloads = [LINES, LINES, GZIP, ZSTD, LINES, GZIP]
    fastavro.writer(file, SUBSCRIPTION, [message(SUBSCRIPTION, payload, n) for n, payload in enumerate(payloads)])
    file.seek(0)
    found = [len(decode_block(block).decoded.events) for block in read_avro_blocks(FileStream(file, "file"))]
    assert found == [6, 2, 4]
