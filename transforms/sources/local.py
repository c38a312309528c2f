"""A file of this machine as blocks, read from front to back; for commands that need no pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dovebeam.transforms.sources.avro_files import read_avro_blocks
from dovebeam.transforms.sources.block import DEFAULT_BLOCK_BYTES, Block
from dovebeam.transforms.sources.compression import (
    MAGIC_BYTES,
    Compression,
    decompress,
    detect_compression,
    foreign_packing,
)
from dovebeam.transforms.sources.errors import DamagedError, SourceError
from dovebeam.transforms.sources.files import check_readable, found_file
from dovebeam.transforms.sources.formats import HEAD_BYTES, Format, InputFormat, detect_format
from dovebeam.transforms.sources.lines import LineReader, read_lines
from dovebeam.transforms.sources.nuls import NULS, end_of_nuls
from dovebeam.transforms.sources.pieces import block_of, block_of_damage
from dovebeam.transforms.sources.streams import FileStream, error_text

__all__ = ["inspect", "read_local_blocks"]


def read_local_blocks(path: str, input_format: InputFormat, max_line_bytes: int, name: str = "") -> Iterator[Block]:
    """The blocks of a file; its compression is told by its content.

    Args:
        path: a regular file, or a link to one.
        input_format: "auto" to tell by content; what looks like nothing known is read as JSON lines.
        max_line_bytes: of longer lines only the head is kept.
        name: what the file is called, if not by its path.

    A damaged file ends with a block that says so; zero bytes are passed over.

    Raises:
        SourceError: it cannot be read.
    """
    check_readable(path)
    file = found_file(path, 0, name)
    format_: Format = "json" if input_format == "auto" else input_format
    try:
        with _open(path, file.uri) as stream:
            compression, head = inspect(stream)
            if input_format == "auto":
                format_ = detect_format(head) or "json"
            stream.seek(0)
            content = decompress(stream, compression)
            if format_ == "avro":
                yield from read_avro_blocks(content)
                return
            reader = LineReader(content, 0, max_line_bytes)
            for lines in read_lines(reader, cell_bytes=DEFAULT_BLOCK_BYTES, claim=lambda _cell: True, uri=stream.uri):
                yield block_of(lines, stream.uri, format_, only_format=input_format != "auto")
    except DamagedError as error:
        yield block_of_damage(error, file.uri, format_)


def inspect(stream: FileStream) -> tuple[Compression, bytes]:
    """How a file is compressed, and the first bytes of its content that are not zero, `HEAD_BYTES` of them at most.

    Raises:
        DamagedError: it is packed in a way that is not read, or nothing of it can be unpacked.
        SourceError: it cannot be read.
    """
    magic = stream.read(MAGIC_BYTES)
    advice = foreign_packing(magic)
    if advice:
        raise DamagedError(advice, stream.uri)
    compression = detect_compression(magic)
    stream.seek(0)
    content = decompress(stream, compression)
    head = b""
    with contextlib.suppress(DamagedError):  # whoever reads the file comes to the same place
        while len(head) < HEAD_BYTES and (data := content.read(HEAD_BYTES)):
            head += NULS.sub(b"\n", data) if head else data[end_of_nuls(data, 0) :]
    return compression, head[:HEAD_BYTES]


def _open(path: str, uri: str) -> FileStream:
    try:
        return FileStream(open(path, "rb"), uri)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error_text(error)}", path) from error
