"""Avro object container files, block by block, as Avro's specification lays them out.

Read here and not by a library, because sizes in a file are the word of whoever wrote it: a block is refused before
memory is taken for it. Records are decoded later, where the other formats are (`avro_records`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dovebeam.transforms.sources.avro_bytes import AvroBytes
from dovebeam.transforms.sources.avro_codecs import UNPACKERS, unpacked
from dovebeam.transforms.sources.avro_pieces import pieces_of
from dovebeam.transforms.sources.avro_schema import check_schema
from dovebeam.transforms.sources.block import Block
from dovebeam.transforms.sources.errors import DamagedError
from dovebeam.transforms.sources.formats import AVRO_MAGIC
from dovebeam.transforms.sources.streams import ByteStream

__all__ = ["MAX_AVRO_BLOCK_BYTES", "AvroContainer", "AvroFrame", "read_avro_blocks"]

MAX_AVRO_BLOCK_BYTES: Final = 64 * 1024 * 1024  # writers make blocks of 16 KiB to a few MiB
_MAX_HEADER_BYTES: Final = 1024 * 1024
_MAX_HEADER_ENTRIES: Final = 1000
_SYNC_BYTES: Final = 16


def read_avro_blocks(stream: ByteStream, max_block_bytes: int = MAX_AVRO_BLOCK_BYTES) -> Iterator[Block]:
    """The blocks of a container whose stream stands at its start; the records in them are uncompressed.

    A block of the file that is large, or has many records, comes in pieces.

    Args:
        stream: the content of the file.
        max_block_bytes: the largest block that is read, compressed and uncompressed.

    Raises:
        DamagedError: for a file that is no Avro, holds no events, is damaged, cut off or has a larger block.
    """
    container = AvroContainer(stream, max_block_bytes)
    for frame in container.frames():
        yield from pieces_of(container.block(frame))


class AvroFrame(NamedTuple):
    """A block as it is stored.

    Attributes:
        offset: of the block in the file.
        records: how many it says it has.
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
        """The blocks as they are stored, in their order.

        Raises:
            DamagedError: a block that is cut off, too large, or does not end where it says.
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
    """The metadata of a container that say how to read it: of a map, in chunks of which the last one is empty."""
    for byte in AVRO_MAGIC:  # one by one, so that a short file of another kind is not taken for one cut off
        if source.exactly(1)[0] != byte:
            raise source.error("this is no Avro file: it does not begin with 'Obj' and a byte 1")
    header: dict[str, bytes] = {}
    entries = 0
    while count := source.long():
        if count < 0:  # then the size of the chunk follows, for those who want to pass over it
            count = -count
            source.long()
        entries += count
        if entries > _MAX_HEADER_ENTRIES:
            raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_ENTRIES} entries")
        for _ in range(count):
            name, value = source.sized(_MAX_HEADER_BYTES), source.sized(_MAX_HEADER_BYTES)
            if name.startswith(b"avro."):
                header[name.decode("utf-8", "replace")] = value
            if source.offset > _MAX_HEADER_BYTES:
                raise source.error(f"the header of the Avro file has more than {_MAX_HEADER_BYTES} bytes")
    return header
