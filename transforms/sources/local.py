"""A file of this machine as blocks, read from front to back; for commands that need no pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from dovebeam.transforms.sources.avro_container import read_avro_blocks
from dovebeam.transforms.sources.block import DEFAULT_BLOCK_BYTES, Block
from dovebeam.transforms.sources.compression import MAGIC_BYTES, Compression, decompress, detect_compression
from dovebeam.transforms.sources.errors import SourceError
from dovebeam.transforms.sources.files import check_readable
from dovebeam.transforms.sources.formats import HEAD_BYTES, Format, InputFormat, detect_format
from dovebeam.transforms.sources.lines import LineReader, read_lines
from dovebeam.transforms.sources.streams import FileStream, error_text

__all__ = ["read_local_blocks"]


def read_local_blocks(path: str, input_format: InputFormat, max_line_bytes: int) -> Iterator[Block]:
    """The blocks of a file; its compression is told by its content.

    Args:
        path: a regular file, or a link to one.
        input_format: "auto" to tell by content; what looks like nothing known is read as JSON lines.
        max_line_bytes: of longer lines only the head is kept.

    Raises:
        SourceError: it cannot be read, or is damaged.
    """
    check_readable(path)
    with _open(path) as stream:
        compression = detect_compression(stream.read(MAGIC_BYTES))
        stream.seek(0)
        head = decompress(stream, compression).read(HEAD_BYTES)
        stream.seek(0)
        if head:
            yield from _blocks(stream, compression, _format(head, input_format), max_line_bytes)


def _blocks(stream: FileStream, compression: Compression, format_: Format, max_line_bytes: int) -> Iterator[Block]:
    content = decompress(stream, compression)
    if format_ == "avro":
        yield from read_avro_blocks(content)
        return
    reader = LineReader(content, 0, max_line_bytes)
    for lines in read_lines(reader, cell_bytes=DEFAULT_BLOCK_BYTES, claim=lambda _cell: True, uri=stream.uri):
        yield Block(stream.uri, lines.offset, lines.data, format_, lines.overlong_bytes)


def _format(head: bytes, input_format: InputFormat) -> Format:
    if input_format != "auto":
        return input_format
    return detect_format(head) or "json"


def _open(path: str) -> FileStream:
    try:
        return FileStream(open(path, "rb"), path)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error_text(error)}", path) from error
