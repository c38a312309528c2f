"""JSON lines, one at a time: the fast way, which msgspec does in C, and the exact way where that is not enough.

msgspec checks the shape of a line and the range of its integers, but keeps the last of two equal keys and says nothing.
A line without repeated keys has as many `":` as it has keys; one with them has more, unless white space stands before a
colon. Whatever does not add up goes to `json_scan`, which decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.codecs.lines import (
    DEFAULT_MAX_LINE_BYTES,
    all_possible,
    check_line_length,
    only_decode_errors,
    typed_event,
)
from dovebeam.transforms.events.catalogue import CATALOGUE, Catalogue
from dovebeam.transforms.events.event import CompleteEvent, Event, ExportedEvent
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, Timestamp, usec_of_seconds
from dovebeam.transforms.formats import Formatter, make_formatter

__all__ = ["COMPLETE", "EXPORTED", "UNFIT", "UNIX", "decode_json", "encode_json"]

UNFIT: Final = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)
"""Errors of msgspec and of Python's numbers for input that does not fit; then the exact scanner decides."""

_FORMATTERS: Final[dict[str, Formatter]] = {
    time_format: make_formatter("json", time_format=time_format) for time_format in ("rfc3339", "unix")
}


@only_decode_errors
def decode_json(line: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, catalogue: Catalogue = CATALOGUE) -> Event:
    """Decodes one line that Dovecot exported as json, in either time format.

    Args:
        line: the bytes without the line break; white space between tokens is allowed.
        max_bytes: longer lines are errors.
        catalogue: the types of fields that Dovecot's own catalogue does not have.

    Raises:
        DecodeError: the line is not exactly one exported event; the error has the byte offset.
    """
    check_line_length(line, max_bytes)
    # Events of the fast shapes recover types by the built-in catalogue, so any other one takes the exact way.
    if catalogue is CATALOGUE and not _space_before_colon(line):
        for shape in (EXPORTED, UNIX):
            try:
                decoded = [shape.decoder.decode(line)]
            except UNFIT:
                continue
            events = shape.to_events(decoded) if line.count(b'":') == shape.count_keys(decoded) else None
            if events is not None and all_possible({events[0].raw_name}):
                return events[0]
            # The shape fits but something does not add up: another shape would not help, the exact scanner decides.
            break
    return scan_event(line, catalogue)


def encode_json(event: Event, *, time_format: str = "rfc3339") -> bytes:
    """The whole event as Dovecot's format json writes it with everything included, without a trailing newline."""
    return _FORMATTERS[time_format].format(event)


def _space_before_colon(line: bytes) -> bool:
    """Whether white space may hide a key from counting; a TAB, CR or LF cannot stand in a string."""
    return b" :" in line or b"\t" in line or b"\r" in line or b"\n" in line


# Shapes of lines: the ways in which msgspec reads one, from the most frequent and fastest on.

_Int64 = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
_fields_of: Final = attrgetter("raw_fields")


class _UnixLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line with time format unix: timestamps are bare numbers, also among the fields."""

    event: str | UnsetType = UNSET
    hostname: str | UnsetType = UNSET
    start_time: float | UnsetType = UNSET
    end_time: float | UnsetType = UNSET
    categories: list[str] | UnsetType = UNSET
    fields: dict[str, str | _Int64 | float | list[str]] | UnsetType = UNSET


@dataclass(frozen=True)
class LineShape:
    """A way to read lines in one call of msgspec.

    Attributes:
        decoder: gives an object of this shape, or raises one of `UNFIT`.
        count_keys: how many keys the lines of these objects have if none is repeated.
        to_events: the events of these objects, or None if one of them needs the exact scanner.
    """

    decoder: msgspec.json.Decoder[Any]
    count_keys: Callable[[Sequence[Any]], int]
    to_events: Callable[[Sequence[Any]], Sequence[Event] | None]


# Keys are counted in C where possible (map, sum): these functions run for every event of an export.
def _complete_keys(events: Sequence[CompleteEvent]) -> int:
    return sum(map(len, map(_fields_of, events))) + 6 * len(events)


def _exported_keys(events: Sequence[ExportedEvent]) -> int:
    count = 0
    for event in events:
        parts = (
            event.raw_name,
            event.raw_hostname,
            event.raw_start_time,
            event.raw_end_time,
            event.raw_categories,
            event.raw_fields,
        )
        count += sum(part is not UNSET for part in parts)
        count += 0 if event.raw_fields is UNSET else len(event.raw_fields)
    return count


def _unix_keys(lines: Sequence[_UnixLine]) -> int:
    count = 0
    for line in lines:
        parts = (line.event, line.hostname, line.start_time, line.end_time, line.categories, line.fields)
        count += sum(part is not UNSET for part in parts)
        count += 0 if isinstance(line.fields, UnsetType) else len(line.fields)
    return count


def _unix_events(lines: Sequence[_UnixLine]) -> Sequence[Event] | None:
    events = [event for line in lines if (event := _unix_event(line)) is not None]
    return events if len(events) == len(lines) else None


def _unix_event(line: _UnixLine) -> Event | None:
    """The typed event, or None where a double does not hold the exact microsecond."""
    members: dict[str, Any] = {"event": line.event, "hostname": line.hostname, "categories": line.categories}
    for name, seconds in (("start_time", line.start_time), ("end_time", line.end_time)):
        usec = None if isinstance(seconds, UnsetType) else usec_of_seconds(seconds)
        if usec is None and seconds is not UNSET:
            return None
        members[name] = UNSET if usec is None else usec
    if isinstance(line.fields, UnsetType):
        return typed_event(members, CATALOGUE)
    fields: dict[str, Any] = dict(line.fields)
    for key, value in line.fields.items():
        if type(value) is float:
            usec = usec_of_seconds(value)
            if usec is None:
                return None
            fields[key] = Timestamp(usec)
    members["fields"] = fields
    return typed_event(members, CATALOGUE)


COMPLETE: Final = LineShape(msgspec.json.Decoder(CompleteEvent), _complete_keys, lambda events: events)
EXPORTED: Final = LineShape(msgspec.json.Decoder(ExportedEvent), _exported_keys, lambda events: events)
UNIX: Final = LineShape(msgspec.json.Decoder(_UnixLine), _unix_keys, _unix_events)
