"""Avro object containers, written: a head and blocks, as Avro's specification lays them out.

The bytes are the same for the same events: the sync marker between blocks, which writers usually draw at random, is a
hash of the schema.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Final, Literal

from dovebeam.transforms.codecs.avro_records import AVRO_SCHEMA
from dovebeam.transforms.codecs.avro_writer import encode_long

__all__ = ["AVRO_CODECS", "AvroCodec", "container_block", "container_head"]

AvroCodec = Literal["deflate", "zstandard", "null"]
AVRO_CODECS: Final[tuple[AvroCodec, ...]] = ("deflate", "zstandard", "null")

_MAGIC: Final = b"Obj\x01"
_SCHEMA: Final = json.dumps(AVRO_SCHEMA, separators=(",", ":"), sort_keys=True).encode()
_SYNC: Final = hashlib.sha256(_SCHEMA).digest()[:16]
_DEFLATE_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


def container_head(codec: AvroCodec) -> bytes:
    """What a file of events begins with."""
    entries = {"avro.codec": codec.encode(), "avro.schema": _SCHEMA}
    listed = b"".join(_with_length(name.encode()) + _with_length(value) for name, value in entries.items())
    return _MAGIC + encode_long(len(entries)) + listed + encode_long(0) + _SYNC


def container_block(records: Sequence[bytes], codec: AvroCodec) -> bytes:
    """Records of `encode_avro` as one block."""
    data = _pack(b"".join(records), codec)
    return encode_long(len(records)) + _with_length(data) + _SYNC


def _pack(data: bytes, codec: AvroCodec) -> bytes:
    if codec == "deflate":
        return zlib.compress(data, _DEFLATE_LEVEL, -zlib.MAX_WBITS)
    if codec == "zstandard":
        import zstandard  # noqa: PLC0415  few jobs need it

        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
    return data


def _with_length(data: bytes) -> bytes:
    return encode_long(len(data)) + data
