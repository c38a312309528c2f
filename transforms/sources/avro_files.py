"""Reader of Avro object container files, block by block, and what it can salvage of damaged ones.

dovebeam reads them itself instead of using a library, because sizes in a file cannot be trusted: a block that is too
large is refused before memory is taken for it. Records are decoded later (`avro_records`).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from dovebeam.transforms.sources.avro_reading import avro_records, pieces_of
from dovebeam.transforms.sources.avro_schema import check_schema
from dovebeam.transforms.sources.block import AVRO_MAGIC, OVERLONG_HEAD_BYTES, Block
from dovebeam.transforms.sources.compression import decompressed
from dovebeam.transforms.sources.streams import ByteStream, DamagedError, SourceError

__all__ = ["AvroContainer", "Gap", "read_avro_blocks", "salvaged"]


_MAX_LONG_BYTES: Final = 10  # of 7 bits each, for the 64 bits of a number
_READ_BYTES: Final = 256 * 1024


class AvroBytes:
    """Reads the basic values of a container from its stream; too few bytes are an error.

    Attributes:
        uri: the file, for errors.
        offset: of the next byte.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._position = 0
        self.uri = stream.uri
        self.offset = 0

    def more(self) -> bool:
        """Whether any bytes are left."""
        if self._position == len(self._buffer):
            self._buffer, self._position = self._stream.read(_READ_BYTES), 0
        return bool(self._buffer)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self.more():
                raise self.error("the Avro file is cut off; export it again once it is whole")
            parts.append(self._buffer[self._position : self._position + missing])
            self._position += len(parts[-1])
            self.offset += len(parts[-1])
            missing -= len(parts[-1])
        return b"".join(parts)

    def long(self) -> int:
        """One number in Avro's encoding."""
        # Seven bits a byte, the lowest first; zigzag, so the sign is in the lowest bit.
        number = 0
        for index in range(_MAX_LONG_BYTES):
            byte = self.exactly(1)[0]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise self.error("the Avro file is damaged: a number has more than 64 bits")

    def sized(self, limit: int) -> bytes:
        """Bytes with their number before them; more than `limit` are an error."""
        size = self.long()
        if not 0 <= size <= limit:
            raise self.error(f"the Avro file is damaged: its header has an entry of {size} bytes")
        return self.exactly(size)

    def error(self, message: str) -> DamagedError:
        """An error at the present offset."""
        return DamagedError(message, self.uri, self.offset)


# Codecs of blocks. Each is given a limit, since a few bytes can expand to gigabytes.

_XZ_MEMORY_BYTES: Final = 80 * 1024 * 1024  # more than xz's highest level takes to unpack


def unpacked(codec: str, data: bytes, limit: int) -> bytes:
    """The uncompressed data of a block; if it is longer than `limit`, only its start, at least `limit` bytes of it.

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
"""By the names of Avro's codecs. All but "snappy" of the specification, which needs a library."""


# Containers, as section "Object Container Files" of Avro's specification describes them.

MAX_AVRO_BLOCK_BYTES: Final = 64 * 1024 * 1024  # writers make blocks of 16 KiB to a few MiB
_MAX_HEADER_BYTES: Final = 1024 * 1024
_MAX_HEADER_ENTRIES: Final = 1000
_SYNC_BYTES: Final = 16


def read_avro_blocks(stream: ByteStream, max_block_bytes: int = MAX_AVRO_BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a container, with uncompressed records.

    A block of the file that is large, or has many records, comes in pieces.

    Args:
        stream: stands at the start of the file.
        max_block_bytes: the largest block that is read, compressed and uncompressed.

    Raises:
        DamagedError: the file is not Avro, holds no events, is damaged, cut off or has a larger block.
    """
    container = AvroContainer(stream, max_block_bytes)
    for frame in container.frames():
        yield from pieces_of(container.block(frame))


class AvroFrame(NamedTuple):
    """A block as it is stored.

    Attributes:
        offset: of the block in the file.
        records: number of records that it claims to have.
        data: its records, compressed.
    """

    offset: int
    records: int
    data: bytes


class AvroContainer:
    """A container, read from front to back.

    Args:
        stream: stands at the start of the file.
        max_block_bytes: see `read_avro_blocks`.

    Raises:
        DamagedError: the header is not that of a container of events or messages.
    """

    def __init__(self, stream: ByteStream, max_block_bytes: int = MAX_AVRO_BLOCK_BYTES) -> None:
        self._source = AvroBytes(stream)
        self._max_block_bytes = max_block_bytes
        header = _read_header(self._source)
        self._schema = header.get("avro.schema", b"")
        self._codec = header.get("avro.codec", b"null").decode("latin-1")
        try:
            check_schema(self._schema)
        except ValueError as error:
            raise self._source.error(f"the Avro file holds no events: {error}") from None
        if self._codec not in UNPACKERS:
            known = ", ".join(sorted(UNPACKERS))
            raise self._source.error(f"Avro's codec {self._codec[:60]!r} is not supported; supported: {known}")
        self._sync = self._source.exactly(_SYNC_BYTES)

    def frames(self) -> Iterator[AvroFrame]:
        """The blocks as they are stored, in order.

        Raises:
            DamagedError: a block is cut off, too large, or does not end where it claims.
        """
        while True:
            offset = self._source.offset
            try:
                if not self._source.more():
                    return
                frame = self._frame()
            except DamagedError as error:
                error.content_offset = offset
                raise
            yield frame

    def block(self, frame: AvroFrame) -> Block:
        """The records of a block.

        Raises:
            DamagedError: its data is damaged, or is more than the limit.
        """
        limit = self._max_block_bytes
        try:
            data = unpacked(self._codec, frame.data, limit + 1)
        except ValueError as error:
            raise self._error(frame, f"is damaged ({error})") from error
        # The schema was checked to need a byte for every record.
        if len(data) > limit or frame.records > len(data):
            raise self._error(
                frame,
                f"has {frame.records} records in {len(data)} bytes or more; the limit is {limit} bytes, and each "
                "record takes at least one",
            )
        return Block(self._source.uri, frame.offset, data, "avro", records=frame.records, schema=self._schema)

    def _frame(self) -> AvroFrame:
        source, limit = self._source, self._max_block_bytes
        offset, count, size = source.offset, source.long(), source.long()
        if not 0 <= size <= limit or count < 0:
            raise source.error(f"the Avro block has {size} bytes and {count} records; the limit is {limit}")
        frame = AvroFrame(offset, count, source.exactly(size))
        if source.exactly(_SYNC_BYTES) != self._sync:
            raise source.error(f"the Avro block at byte {offset} does not end with the file's sync marker")
        return frame

    def _error(self, frame: AvroFrame, what: str) -> DamagedError:
        error = DamagedError(f"the Avro block at byte {frame.offset} {what}", self._source.uri, frame.offset)
        error.content_offset = frame.offset
        return error


def _read_header(source: AvroBytes) -> dict[str, bytes]:
    """The entries of a container's metadata that readers need: schema and codec."""
    # One by one, so that a short file of another kind is not reported as an Avro file that is cut off.
    for byte in AVRO_MAGIC:
        if source.exactly(1)[0] != byte:
            raise source.error("this is not an Avro file: it does not begin with 'Obj' and a byte 1")
    header: dict[str, bytes] = {}
    entries = 0
    # A map in chunks, of which the last one is empty.
    while count := source.long():
        if count < 0:  # then the size of the chunk follows, for readers that skip it
            count = -count
            source.long()
        entries += count
        if entries > _MAX_HEADER_ENTRIES:
            raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_ENTRIES} entries")
        for _ in range(count):
            name, value = source.sized(_MAX_HEADER_BYTES), source.sized(_MAX_HEADER_BYTES)
            # Other entries are of the writing program, and may be any text.
            if name.startswith(b"avro."):
                header[name.decode("utf-8", "replace")] = value
            if source.offset > _MAX_HEADER_BYTES:
                raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_BYTES} bytes")
    return header


# Salvage of damaged files.

_UNKNOWN_EVENTS: Final = 2**62


class Gap(NamedTuple):
    """A part of a file that cannot be read.

    Attributes:
        uri: the file.
        offset: of the damaged block.
        why: the error.
        events: upper bound of the events that are lost in it.
        data: the first of the bytes that cannot be read, as they are stored or decompressed.
    """

    uri: str
    offset: int
    why: str
    events: int
    data: bytes = b""


def salvaged(stream: ByteStream, uri: str) -> Iterator[Block | Gap]:
    """Blocks of the readable records of a file, and its gaps, in order.

    Args:
        stream: stands at the start of the file.
        uri: of the file.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        container = AvroContainer(stream)
        for frame in container.frames():
            yield from _records(container, frame, uri)
    except DamagedError as error:
        # Without its size or its end, nothing shows where the next block begins: the rest of the file is lost.
        yield Gap(uri, error.content_offset, error.message, _UNKNOWN_EVENTS)


def _records(container: AvroContainer, frame: AvroFrame, uri: str) -> Iterator[Block | Gap]:
    try:
        block = container.block(frame)
    except DamagedError as error:
        yield Gap(uri, frame.offset, error.message, frame.records, frame.data[:OVERLONG_HEAD_BYTES])
        return
    whole, end, why = 0, 0, ""
    # The number of records that a damaged block claims cannot be trusted, so as many as its data holds are decoded; a
    # record has at least one byte.
    for record in avro_records(msgspec.structs.replace(block, records=len(block.data))):
        if record.error is not None:
            why = record.error.reason
            break
        whole, end = whole + 1, record.start + len(record.raw)
    if whole:
        yield from pieces_of(msgspec.structs.replace(block, data=block.data[:end], records=whole))
    if end < len(block.data):
        rest = block.data[end : end + OVERLONG_HEAD_BYTES]
        yield Gap(uri, frame.offset, why, max(1, frame.records - whole), rest)
    elif whole != frame.records:
        why = f"the Avro block at byte {frame.offset} says that it has {frame.records} records, and has {whole}"
        yield Gap(uri, frame.offset, why, max(0, frame.records - whole))
