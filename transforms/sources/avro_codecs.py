"""Blocks of Avro, decompressed; never to more than a limit, whatever they claim to be."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Final

from dovebeam.transforms.sources.compression import decompressed
from dovebeam.transforms.sources.errors import SourceError

__all__ = ["UNPACKERS", "unpacked"]

_XZ_MEMORY_BYTES: Final = 80 * 1024 * 1024  # more than xz's highest level takes to unpack


def unpacked(codec: str, data: bytes, limit: int) -> bytes:
    """What a block holds; of more than `limit` bytes only the first ones, and some more.

    Raises:
        ValueError: the data is damaged.
    """
    try:
        return UNPACKERS[codec](data, limit)
    except (zlib.error, OSError, EOFError, lzma.LZMAError, SourceError) as error:
        raise ValueError(str(error)) from error


def _unpack(decompressor: Any, data: bytes, limit: int) -> bytes:
    content: bytes = decompressor.decompress(data, limit)
    if not decompressor.eof and len(content) < limit:
        raise ValueError("its compressed data is cut off")
    return content


UNPACKERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "null": lambda data, _limit: data,
    "deflate": lambda data, limit: _unpack(zlib.decompressobj(-zlib.MAX_WBITS), data, limit),
    "bzip2": lambda data, limit: _unpack(bz2.BZ2Decompressor(), data, limit),
    "xz": lambda data, limit: _unpack(lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES), data, limit),
    "zstandard": lambda data, limit: decompressed(data, "zstd", limit),
}
"""By the names of Avro's codecs."""
