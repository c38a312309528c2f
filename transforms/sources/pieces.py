"""Pieces of files of lines, as they come out of reading, and as blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dovebeam.transforms.sources.block import OVERLONG_HEAD_BYTES, Block
from dovebeam.transforms.sources.errors import DamagedError
from dovebeam.transforms.sources.formats import Format
from dovebeam.transforms.sources.nuls import TORN

__all__ = ["Lines", "block_of", "block_of_damage", "joined", "set_overlong_apart"]


class Lines(NamedTuple):
    """Whole lines, or the head of one over-long line; see `Block`.

    Attributes:
        offset: of `data` in the file.
        data: empty if there is nothing behind the zero bytes.
        overlong_bytes: see `Block`.
        nuls: how many zero bytes stand before `data`, and were passed over.
        torn: whether zero bytes stand where the end of this line should be.
    """

    offset: int
    data: bytes
    overlong_bytes: int = 0
    nuls: int = 0
    torn: bool = False


def block_of(lines: Lines, uri: str, format_: Format, *, only_format: bool = False) -> Block:
    """The block of a piece; see `Block` for its format.

    Whether a torn line of JSON is whole is seen when it is decoded; one of tab-text would pass as a smaller event.
    """
    data, torn = lines.data or b"\n", lines.torn and format_ == "tab-text"
    return Block(
        uri,
        lines.offset,
        data,
        format_,
        lines.overlong_bytes,
        records=int(torn),
        damage=TORN if torn else "",
        nuls=lines.nuls,
        only_format=only_format,
    )


def block_of_damage(error: DamagedError, uri: str, format_: Format) -> Block:
    """What stands for the rest of a file that cannot be read."""
    place = "" if error.offset is None else f" (noticed at byte {error.offset} of the file)"
    return Block(uri, error.content_offset, error.rest, format_, records=1, damage=f"{error.message}{place}")


def joined(pieces: Iterable[Lines]) -> Iterator[Lines]:
    """The same with all that stands together, and is whole, in one."""
    parts: list[Lines] = []
    for each in pieces:
        if parts and (each.nuls or each.torn or each.overlong_bytes):
            yield parts[0]._replace(data=b"".join(part.data for part in parts))
            parts = []
        if each.torn or each.overlong_bytes:
            yield each
        else:
            parts.append(each)
    if parts:
        yield parts[0]._replace(data=b"".join(part.data for part in parts))


def set_overlong_apart(offset: int, data: bytes, max_line_bytes: int) -> Iterator[Lines]:
    """Whole lines, with each that is longer than allowed by itself; they begin at the offset."""
    kept = start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        content_end = end - data.endswith(b"\n", start, end)
        length = content_end - data.endswith(b"\r", start, content_end) - start
        if length > max_line_bytes:
            if start > kept:
                yield Lines(offset + kept, data[kept:start])
            yield Lines(offset + start, data[start : start + min(length, OVERLONG_HEAD_BYTES)], length)
            kept = end
        start = end
    if kept < len(data):
        yield Lines(offset + kept, data[kept:])
