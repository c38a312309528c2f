"""Blocks of JSON lines: msgspec decodes all lines in one call, and a few passes over the bytes prove that it may.

The proof is that of `json_line`, for all lines at once; a block for which it fails is decoded line by line.
"""

from __future__ import annotations

from dovebeam.transforms.codecs.json_lines import decode_json
from dovebeam.transforms.codecs.json_shapes import COMPLETE, EXPORTED, UNFIT, UNIX
from dovebeam.transforms.codecs.limits import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.codecs.lines import DecodedBlock, decode_one_by_one, line_starts
from dovebeam.transforms.codecs.names import all_possible, name_of
from dovebeam.transforms.codecs.tab_lines import TAB_PARTS, decode_tab
from dovebeam.transforms.events.event import Event

__all__ = ["decode_json_block", "object_borders", "with_line_feeds"]


def decode_json_block(block: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, mixed: bool = True) -> DecodedBlock:
    """The events of whole lines (LF or CRLF, the last end may be missing), faster than one by one.

    Blank lines hold no event and are passed over. Every other line is in `events` or in `bad_lines`. Lines of tab-text
    among them are read as tab-text, unless `mixed` is false: a spool has what several of Dovecot's exporters sent.
    """

    def decode(line: bytes) -> Event:
        return (decode_tab if mixed and line.startswith(TAB_PARTS) else decode_json)(line, max_bytes=max_bytes)

    text = with_line_feeds(block)
    borders = object_borders(text) if len(text) <= max_bytes else None
    if borders is None:
        return decode_one_by_one(block, decode)
    for shape in (COMPLETE, EXPORTED, UNIX):
        try:
            decoded = shape.decoder.decode_lines(text)
            if len(decoded) != len(borders) + 1 or _key_marks(text) != shape.count_keys(decoded):
                break
            events = shape.to_events(decoded)
        except UNFIT:
            continue
        if events is None or not all_possible(set(map(name_of, events))):
            break
        return DecodedBlock(events, [], lambda: line_starts(block, borders))
    return decode_one_by_one(block, decode)


def with_line_feeds(block: bytes) -> bytes:
    """The block with LF for CRLF; a CR cannot stand in a JSON string, so none is lost."""
    return block.replace(b"\r\n", b"\n") if 0x0D in block else block


def object_borders(text: bytes) -> list[int] | None:
    """The offsets of the LFs between the lines, or None if some line does not begin and end with a brace.

    msgspec takes any white space for the end of a line. But after a closing brace no object can open inside another, so
    none spans two such lines; and if there are as many objects as lines, which the caller checks, no line has two.
    """
    import numpy as np  # noqa: PLC0415  importing it costs more than all of dovebeam, and commands do without it

    if not text.startswith(b"{") or not text.endswith((b"}", b"}\n")):
        return None
    data = np.frombuffer(text, np.uint8)
    borders = np.flatnonzero(data == 0x0A)
    if text[-1] == 0x0A:
        borders = borders[:-1]
    if data.take(borders - 1).tobytes().strip(b"}") or data.take(borders + 1).tobytes().strip(b"{"):
        return None
    offsets: list[int] = borders.tolist()
    return offsets


def _key_marks(text: bytes) -> int:
    """How many colons of the text stand behind a quote or a space: at least as many as it has keys.

    More, if a string contains such a colon. Other white space before a colon gives -1; it cannot be in a string.
    """
    import numpy as np  # noqa: PLC0415

    if 0x09 in text or 0x0D in text:
        return -1
    data = np.frombuffer(text, np.uint8)
    # A quote is 0x22 and a space 0x20: without the bit between them both are 0x20.
    behind_mark = (data[:-1] & 0xFD) == 0x20
    return int(np.count_nonzero(behind_mark & (data[1:] == 0x3A)))
