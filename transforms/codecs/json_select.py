"""Blocks of JSON lines of which only events with certain names are wanted.

Most configurations ask for few of the many events that Dovecot exports, and name them. Decoding only the name of every
line and the whole of the lines that are asked for is several times faster than decoding all. What is passed over is
checked less: it must be one JSON object per line with a proper name, but what its other members hold is not looked at,
because no metric ever sees it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import accumulate, compress
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from dovebeam.transforms.codecs.block import BadLine, DecodedBlock, line_starts
from dovebeam.transforms.codecs.json_block import decode_json_block, object_borders, with_line_feeds
from dovebeam.transforms.codecs.json_shapes import UNFIT
from dovebeam.transforms.codecs.limits import DEFAULT_MAX_LINE_BYTES

__all__ = ["decode_json_block_named"]


class _NameOnly(msgspec.Struct, gc=False):
    event: str | UnsetType = UNSET


_decode_names: Final = msgspec.json.Decoder(_NameOnly).decode_lines
_name_of: Final = attrgetter("event")


def decode_json_block_named(
    block: bytes, names: Set[str], *, max_bytes: int = DEFAULT_MAX_LINE_BYTES
) -> tuple[DecodedBlock, int]:
    """The events of the block that have one of these names, and how many others were passed over.

    Lines that are not JSON objects are in `bad_lines`, as are lines with one of the names that are not an event.
    """
    text = with_line_feeds(block)
    borders = object_borders(text) if len(text) <= max_bytes else None
    if borders is None:
        return _decode_all(block, names, max_bytes)
    try:
        found = _decode_names(text)
    except UNFIT:
        return _decode_all(block, names, max_bytes)
    if len(found) != len(borders) + 1:
        return _decode_all(block, names, max_bytes)
    kept = [index for index, name in enumerate(map(_name_of, found)) if name in names]
    ends = [*borders, len(text)]
    lines = [text[ends[index - 1] + 1 if index else 0 : ends[index]] for index in kept]
    decoded = decode_json_block(b"\n".join(lines), max_bytes=max_bytes)
    starts = line_starts(block, borders) if kept else []
    return _moved(decoded, [starts[index] for index in kept], lines), len(found) - len(lines)


def _decode_all(block: bytes, names: Set[str], max_bytes: int) -> tuple[DecodedBlock, int]:
    decoded = decode_json_block(block, max_bytes=max_bytes)
    wanted = [event.raw_name in names for event in decoded.events]
    events = list(compress(decoded.events, wanted))
    kept = DecodedBlock(events, decoded.bad_lines, lambda: list(compress(decoded.offsets(), wanted)))
    return kept, len(decoded.events) - len(events)


def _moved(decoded: DecodedBlock, starts: Sequence[int], lines: Sequence[bytes]) -> DecodedBlock:
    """The block decoded from some lines, with offsets in the block that they were taken from."""
    if not decoded.bad_lines:
        return DecodedBlock(decoded.events, [], lambda: starts)
    places = dict(zip(accumulate((len(line) + 1 for line in lines), initial=0), starts, strict=False))
    bad_lines = [BadLine(places[bad.offset], bad.line, bad.error) for bad in decoded.bad_lines]
    offsets = [places[offset] for offset in decoded.offsets()]
    return DecodedBlock(decoded.events, bad_lines, lambda: offsets)
