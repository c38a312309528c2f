"""Avro object container files, block by block, as Avro's specification lays them out.

Read here and not by a library, because sizes in a file are the word of whoever wrote it: a block is refused before
memory is taken for it. Records are decoded later, where the other formats are (`avro_records`).
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from dovebeam.transforms.sources.avro_schema import check_schema
from dovebeam.transforms.sources.block import Block
from dovebeam.transforms.sources.compression import decompress
from dovebeam.transforms.sources.errors import DamagedError, SourceError
from dovebeam.transforms.sources.formats import AVRO_MAGIC
from dovebeam.transforms.sources.streams import ByteStream, FileStream

__all__ = ["MAX_AVRO_BLOCK_BYTES", "read_avro_blocks"]

MAX_AVRO_BLOCK_BYTES: Final = 64 * 1024 * 1024  # writers make blocks of 16 KiB to a few MiB
_MAX_HEADER_BYTES: Final = 1024 * 1024
_MAX_HEADER_ENTRIES: Final = 1000
_MAX_LONG_BYTES: Final = 10
_SYNC_BYTES: Final = 16
_READ_BYTES: Final = 256 * 1024
_XZ_MEMORY_BYTES: Final = 256 * 1024 * 1024  # more than xz's highest level takes


def read_avro_blocks(stream: ByteStream, max_block_bytes: int = MAX_AVRO_BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a container whose stream stands at its begin; the records in them are uncompressed.

    Args:
        stream: the content of the file.
        max_block_bytes: the largest block that is read, compressed and uncompressed.

    Raises:
        SourceError: for a file that is no Avro, holds no events, is damaged, cut off or has a larger block.
    """
    source = _Source(stream)
    header = _read_header(source)
    schema, codec = header.get("avro.schema", b""), header.get("avro.codec", b"null").decode("latin-1")
    try:
        check_schema(schema)
    except ValueError as error:
        raise source.error(f"the Avro file holds no events: {error}") from None
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise source.error(f"Avro's codec {codec[:60]!r} is not supported; supported: {', '.join(sorted(_CODECS))}")
    sync = source.exactly(_SYNC_BYTES)
    while source.more():
        offset = source.offset
        count, size = source.long(), source.long()
        if not 0 <= size <= max_block_bytes or count < 0:
            raise source.error(f"the Avro block has {size} bytes and {count} records; the limit is {max_block_bytes}")
        packed = source.exactly(size)
        try:
            data = unpack(packed, max_block_bytes + 1)
        except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, SourceError) as error:
            raise source.error(f"the Avro block at byte {offset} is damaged ({error})") from error
        # The schema was checked to need a byte for every record.
        if len(data) > max_block_bytes or count > len(data):
            raise source.error(
                f"the Avro block at byte {offset} has {count} records in {len(data)} bytes or more; the limit is "
                f"{max_block_bytes} bytes, and each record takes at least one"
            )
        if source.exactly(_SYNC_BYTES) != sync:
            raise source.error(f"the Avro block at byte {offset} does not end with the file's sync marker")
        if count:
            yield Block(stream.uri, offset, data, "avro", records=count, schema=schema)


def _read_header(source: _Source) -> dict[str, bytes]:
    """The metadata of a container: a map, in chunks of which the last one is empty."""
    for byte in AVRO_MAGIC:  # one by one, so that a short file of another kind is not taken for one cut off
        if source.exactly(1)[0] != byte:
            raise source.error("this is no Avro file: it does not begin with 'Obj' and a byte 1")
    header: dict[str, bytes] = {}
    while count := source.long():
        if count < 0:  # then the size of the chunk follows, for those who want to pass over it
            count = -count
            source.long()
        if count > _MAX_HEADER_ENTRIES or len(header) > _MAX_HEADER_ENTRIES:
            raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_ENTRIES} entries")
        for _ in range(count):
            name = source.sized(_MAX_HEADER_BYTES).decode("utf-8", "replace")
            header[name] = source.sized(_MAX_HEADER_BYTES)
        if source.offset > _MAX_HEADER_BYTES:
            raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_BYTES} bytes")
    return header


class _Source:
    """A stream of which exact numbers of bytes are read; too few are an error.

    Attributes:
        offset: of the next byte.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._position = 0
        self.offset = 0

    def more(self) -> bool:
        """Whether any byte is left."""
        if self._position == len(self._buffer):
            self._buffer, self._position = self._stream.read(_READ_BYTES), 0
        return bool(self._buffer)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self.more():
                raise self.error("the Avro file is cut off; give it again once it is whole")
            parts.append(self._buffer[self._position : self._position + missing])
            self._position += len(parts[-1])
            self.offset += len(parts[-1])
            missing -= len(parts[-1])
        return b"".join(parts)

    def long(self) -> int:
        """One of Avro's numbers: seven bits a byte, the lowest first, the sign in the lowest bit."""
        number = 0
        for index in range(_MAX_LONG_BYTES):
            byte = self.exactly(1)[0]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise self.error("the Avro file is damaged: a number has more than 64 bits")

    def sized(self, limit: int) -> bytes:
        """Bytes behind the number of them."""
        size = self.long()
        if not 0 <= size <= limit:
            raise self.error(f"the Avro file is damaged: its header has an entry of {size} bytes")
        return self.exactly(size)

    def error(self, message: str) -> DamagedError:
        """An error at the present place."""
        return DamagedError(message, self._stream.uri, self.offset)


def _unpack(decompressor: Any, data: bytes, limit: int) -> bytes:
    unpacked: bytes = decompressor.decompress(data, limit)
    if not decompressor.eof and len(unpacked) < limit:
        raise ValueError("its compressed data is cut off")
    return unpacked


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    return decompress(FileStream(io.BytesIO(data), ""), "zstd").read(limit)


_CODECS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "null": lambda data, _limit: data,
    "deflate": lambda data, limit: _unpack(zlib.decompressobj(-zlib.MAX_WBITS), data, limit),
    "bzip2": lambda data, limit: _unpack(bz2.BZ2Decompressor(), data, limit),
    "xz": lambda data, limit: _unpack(lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES), data, limit),
    "zstandard": _unpack_zstd,
}
