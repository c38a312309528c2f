"""Avro writer: the binary encoding of events by `AVRO_SCHEMA`, and the head and blocks of the files that hold them.

Written by hand, because it is several times faster than a general library that interprets the schema.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from msgspec import UNSET

from dovebeam.transforms.codecs.avro_records import AVRO_SCHEMA
from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import IPAddress, Timestamp

__all__ = [
    "AVRO_CODECS",
    "AvroCodec",
    "container_block",
    "container_head",
    "encode_avro",
    "encode_long",
    "time_of_avro",
]


_NULL: Final = b"\x00"
_SECOND: Final = b"\x02"
"""The second branch of a union, which nearly everywhere is the one that is not null."""
_THIRD: Final = b"\x04"
_TEXT: Final = _NULL
"""The branch `string` of a key or of an item of a list."""

# What follows a key: str, int, time_usec, ip, strlist. One of the five is set.
_SET_INT: Final = _NULL + _SECOND
_AFTER_INT: Final = _NULL * 3
_BEFORE_TIME: Final = _NULL * 2
_AFTER_TIME: Final = _NULL * 2
_BEFORE_IP: Final = _NULL * 3
_AFTER_IP: Final = _NULL
_BEFORE_LIST: Final = _NULL * 4
_AFTER_STR: Final = _NULL * 4


def encode_avro(event: Event) -> bytes:
    """The record of an event, without a container around it.

    Raises:
        OverflowError: a time that Avro's 64 bits of microseconds do not hold, which is one after the year 294247.
    """
    parts = [
        _optional_text(event.name),
        _optional_text(event.hostname),
        _optional_long(event.start_time),
        _optional_long(event.end_time),
        _NULL if event.raw_categories is UNSET else _SECOND + _texts(event.categories),
    ]
    if event.raw_fields is UNSET:
        parts.append(_NULL)
    else:
        # An array is blocks of a count and that many items, and ends with a block of none.
        fields = event.fields
        parts.append(_SECOND)
        if fields:
            parts.append(encode_long(len(fields)))
            parts.extend([_field(key, value) for key, value in fields.items()])
        parts.append(_NULL)
    parts += [
        _NULL if event.log_type is UNSET else _SECOND + _sized(str(event.log_type).encode()),
        _NULL if event.source_file is UNSET else _optional_text(str(event.source_file)),
        _NULL if event.source_line is UNSET else _SECOND + encode_long(int(event.source_line)),
    ]
    return b"".join(parts)


def time_of_avro(record: bytes) -> int | None:
    """The end time of an encoded event, or else its start time; microseconds since 1970, None if it has neither."""
    # Reads the first four members only: sorting by time needs no more of each record.
    position = 0
    for _ in range(2):  # name and hostname: null, string or bytes
        branch = record[position]
        position += 1
        if branch:
            size, position = _decode_long(record, position)
            position += size
    times = []
    for _ in range(2):
        branch = record[position]
        position += 1
        if branch:
            time, position = _decode_long(record, position)
            times.append(time)
    return times[-1] if times else None


def _decode_long(data: bytes, position: int) -> tuple[int, int]:
    """The number that begins at `position`, and the position behind it; the inverse of `encode_long`."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), position
        shift += 7


def encode_long(number: int) -> bytes:
    """Encodes a number of signed 64 bits as Avro does: the sign in the lowest bit, seven bits a byte, the lowest first.

    Raises:
        OverflowError: it has more bits; readers would take it for another number.
    """
    rest = number << 1 if number >= 0 else ~(number << 1)
    # Most numbers of an event are lengths and fit in one byte.
    if rest < 0x80:
        return _BYTES[rest]
    if rest >> 64:
        message = "a number has more than 64 bits"
        raise OverflowError(message)
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


_BYTES: Final = tuple(bytes((number,)) for number in range(0x80))
_LENGTHS: Final = tuple(encode_long(length) for length in range(1024))
_SET_LENGTHS: Final = tuple(_SECOND + length for length in _LENGTHS)


def _field(key: str, value: Value) -> bytes:
    head = _key(key)
    # The most frequent types first, by identity; subclasses of str and int come last.
    if type(value) is str:
        return head + _optional_text(value) + _AFTER_STR
    if type(value) is int:
        return head + _SET_INT + encode_long(value) + _AFTER_INT
    if isinstance(value, Timestamp):
        return head + _BEFORE_TIME + _SECOND + encode_long(value.usec) + _AFTER_TIME
    if isinstance(value, IPAddress):
        return head + _BEFORE_IP + _SECOND + _sized(value.text.encode()) + _AFTER_IP
    if isinstance(value, list):
        return head + _BEFORE_LIST + _SECOND + _texts(value)
    if isinstance(value, str):
        return head + _optional_text(value) + _AFTER_STR
    return head + _SET_INT + encode_long(int(value)) + _AFTER_INT


# The same few keys come in every event; the bound is for keys that clients choose, such as `id_param_*`.
@lru_cache(maxsize=4096)
def _key(key: str) -> bytes:
    return _text(key)


def _optional_text(text: str | None) -> bytes:
    """A union of null, string and bytes."""
    if text is None:
        return _NULL
    # Exceptions for the rare cases cost nothing in the frequent one.
    try:
        data = text.encode()
        return _SET_LENGTHS[len(data)] + data
    except IndexError:
        return _SECOND + _sized(text.encode())
    except UnicodeEncodeError:
        return _THIRD + _sized(text.encode("utf-8", "surrogateescape"))


def _optional_long(number: int | None) -> bytes:
    return _NULL if number is None else _SECOND + encode_long(number)


def _text(text: str) -> bytes:
    """A union of string and bytes."""
    try:
        return _TEXT + _sized(text.encode())
    except UnicodeEncodeError:
        return _SECOND + _sized(text.encode("utf-8", "surrogateescape"))


def _texts(texts: Sequence[str]) -> bytes:
    if not texts:
        return _NULL
    return b"".join((encode_long(len(texts)), *map(_text, texts), _NULL))


def _sized(data: bytes) -> bytes:
    length = len(data)
    return (_LENGTHS[length] if length < len(_LENGTHS) else encode_long(length)) + data


# Object container files, by Avro's specification: a head and blocks. The same events give the same bytes: the sync
# marker between blocks, which writers usually draw at random, is a hash of the schema.

AvroCodec = Literal["deflate", "zstandard", "null"]
AVRO_CODECS: Final[tuple[AvroCodec, ...]] = ("deflate", "zstandard", "null")

_MAGIC: Final = b"Obj\x01"
_SCHEMA: Final = json.dumps(AVRO_SCHEMA, separators=(",", ":"), sort_keys=True).encode()
_SYNC: Final = hashlib.sha256(_SCHEMA).digest()[:16]
_DEFLATE_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


def container_head(codec: AvroCodec) -> bytes:
    """The head of a file of events: magic bytes, schema, codec and sync marker."""
    entries = {"avro.codec": codec.encode(), "avro.schema": _SCHEMA}
    listed = b"".join(_with_length(name.encode()) + _with_length(value) for name, value in entries.items())
    return _MAGIC + encode_long(len(entries)) + listed + encode_long(0) + _SYNC


def container_block(records: Sequence[bytes], codec: AvroCodec) -> bytes:
    """One block of a file, with records of `encode_avro`."""
    data = _pack(b"".join(records), codec)
    return encode_long(len(records)) + _with_length(data) + _SYNC


def _pack(data: bytes, codec: AvroCodec) -> bytes:
    # Avro's deflate is the bare stream without zlib's head and checksum, hence the negative window.
    if codec == "deflate":
        return zlib.compress(data, _DEFLATE_LEVEL, -zlib.MAX_WBITS)
    if codec == "zstandard":
        import zstandard  # noqa: PLC0415  few jobs need it

        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
    return data


def _with_length(data: bytes) -> bytes:
    return encode_long(len(data)) + data
