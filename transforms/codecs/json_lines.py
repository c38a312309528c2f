"""One JSON line: the fast way, which msgspec does in C, and the exact way where that is not enough.

msgspec checks the shape of a line and the range of its integers, but keeps the last of two equal keys and says nothing.
A line without repeated keys has as many `":` as it has keys; one with them has more, unless white space stands before a
colon. Whatever does not add up goes to `json_scan`, which decides.
"""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.codecs.json_shapes import EXPORTED, UNFIT, UNIX
from dovebeam.transforms.codecs.last_resort import only_decode_errors
from dovebeam.transforms.codecs.limits import DEFAULT_MAX_LINE_BYTES, check_line_length
from dovebeam.transforms.codecs.names import all_possible
from dovebeam.transforms.events.catalogue import CATALOGUE, Catalogue
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.formats import Formatter, make_formatter

__all__ = ["decode_json", "encode_json"]

_FORMATTERS: Final[dict[str, Formatter]] = {
    time_format: make_formatter("json", time_format=time_format) for time_format in ("rfc3339", "unix")
}


@only_decode_errors
def decode_json(line: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, catalogue: Catalogue = CATALOGUE) -> Event:
    """The event of one line that Dovecot exported as json, in either time format.

    Args:
        line: the bytes without the line's end; white space between tokens is allowed.
        max_bytes: the longest line that is read.
        catalogue: the types of fields that Dovecot's own catalogue does not have.

    Raises:
        DecodeError: if it is anything else than one exported event, with the byte offset.
    """
    check_line_length(line, max_bytes)
    if catalogue is CATALOGUE and not _space_before_colon(line):
        for shape in (EXPORTED, UNIX):
            try:
                decoded = [shape.decoder.decode(line)]
            except UNFIT:
                continue
            events = shape.to_events(decoded) if line.count(b'":') == shape.count_keys(decoded) else None
            if events is not None and all_possible({events[0].raw_name}):
                return events[0]
            break
    return scan_event(line, catalogue)


def encode_json(event: Event, *, time_format: str = "rfc3339") -> bytes:
    """The whole event as Dovecot's format json writes it with everything included, without the line's end."""
    return _FORMATTERS[time_format].format(event)


def _space_before_colon(line: bytes) -> bool:
    """Whether white space may hide a key from counting; a TAB, CR or LF cannot stand in a string."""
    return b" :" in line or b"\t" in line or b"\r" in line or b"\n" in line
