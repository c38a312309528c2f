"""tab-text lines: decoder and encoder. Every value is text, so types come from the names of fields (see `Catalogue`).

Bytes that are not UTF-8 survive as surrogate escapes. What tab-text cannot tell apart: an event without name, host,
times or fields from one exported without them; an empty list, a list of one empty string and an empty string; a key
with `=` in it from a value with one (the first `=` ends the key; Dovecot's own keys have none).
"""

from __future__ import annotations

from typing import Any, Final

from dovebeam.transforms.codecs.causes import has_lost_part, with_tab_cause
from dovebeam.transforms.codecs.json_lines import decode_json
from dovebeam.transforms.codecs.lines import (
    DEFAULT_MAX_LINE_BYTES,
    LOST_TAB,
    NOT_A_NAME,
    DecodedBlock,
    check_line_length,
    decode_one_by_one,
    is_possible_name,
    only_decode_errors,
    typed_event,
)
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import CATALOGUE, Catalogue, parse_int64
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import Timestamp, parse_rfc3339, parse_unix
from dovebeam.transforms.formats import Formatter, make_formatter
from dovebeam.transforms.formats.tab_text import unescape_tab

__all__ = ["TAB_PARTS", "decode_tab", "decode_tab_block", "encode_tab"]

TAB_PARTS: Final = (b"event:", b"hostname:", b"start_time:", b"end_time:", b"category:", b"field:")
"""Beginnings of the parts of a line."""

_FORMATTERS: Final[dict[str, Formatter]] = {
    time_format: make_formatter("tab-text", time_format=time_format) for time_format in ("rfc3339", "unix")
}
_TEXT_PARTS: Final = {"event": "event", "hostname": "hostname"}
_TIME_PARTS: Final = frozenset({"start_time", "end_time"})


@only_decode_errors
def decode_tab(line: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, catalogue: Catalogue = CATALOGUE) -> Event:
    """Decodes one line that Dovecot exported as tab-text, in either time format.

    Args:
        line: the bytes without the line break. An empty line is an event that was exported without any of its parts.
        max_bytes: longer lines are errors.
        catalogue: the types of fields that Dovecot's own catalogue does not have.

    Raises:
        DecodeError: the line is not exactly one exported event; the error has the byte offset.
    """
    check_line_length(line, max_bytes)
    try:
        return _read(line, catalogue)
    except DecodeError as error:
        raise with_tab_cause(error, line) from None


def decode_tab_block(block: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, mixed: bool = True) -> DecodedBlock:
    """The events of whole lines (LF or CRLF, the last end may be missing); blank lines are skipped.

    Lines of JSON among them are read as JSON, unless `mixed` is false: a spool has what several of Dovecot's exporters
    sent.
    """

    def decode(line: bytes) -> Event:
        return (decode_json if mixed and line.startswith(b"{") else decode_tab)(line, max_bytes=max_bytes)

    return decode_one_by_one(block, decode)


def encode_tab(event: Event, *, time_format: str = "rfc3339") -> bytes:
    """The whole event as Dovecot's format tab-text writes it with everything included, without a trailing newline."""
    return _FORMATTERS[time_format].format(event)


def _read(line: bytes, catalogue: Catalogue) -> Event:
    reader = _Reader()
    # Split first, unescape afterwards: an escaped tab is part of a value ("Parsing back").
    parts = line.split(b"\t") if line else []
    offset = 0
    for part in parts:
        reader.take(part, offset)
        offset += len(part) + 1
    if len(parts) == 1 and has_lost_part(line):
        raise DecodeError("the only field of the line holds what looks like further parts")
    return reader.event(catalogue)


class _Reader:
    """Collects the parts of a line; only the empty part has a place that is checked."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self.fields: dict[str, str] = {}
        self.no_categories = False

    def take(self, part: bytes, offset: int) -> None:
        if not part:
            self.take_empty(offset)
            return
        kind_bytes, colon, rest = part.partition(b":")
        kind = kind_bytes.decode("utf-8", "surrogateescape")
        text = rest.decode("utf-8", "surrogateescape")
        if not colon:
            raise DecodeError("expected a part like 'event:NAME' or 'field:KEY=VALUE', found no ':'", offset)
        if kind == "field":
            self.take_field(text, offset)
        elif kind == "category":
            self.take_category(_word(kind, unescape_tab(text), offset), offset)
        elif kind in _TEXT_PARTS or kind in _TIME_PARTS:
            if kind in self.members:
                raise DecodeError(f"the part {kind!r} occurs twice", offset)
            self.members[kind] = _time(text, offset) if kind in _TIME_PARTS else _word(kind, unescape_tab(text), offset)
        else:
            known = "event, hostname, start_time, end_time, category, field"
            raise DecodeError(f"an exported event has no part {kind[:80]!r}, only {known}", offset)

    def take_empty(self, offset: int) -> None:
        """Takes the empty part, which stands in the place of the categories of an event without any."""
        if self.no_categories or "categories" in self.members or self.fields:
            raise DecodeError("an empty part may stand only once, in the place of the categories", offset)
        self.no_categories = True
        self.members["categories"] = []

    def take_category(self, name: str, offset: int) -> None:
        if self.no_categories:
            raise DecodeError("a category follows the empty part that says there are none", offset)
        self.members.setdefault("categories", []).append(name)

    def take_field(self, text: str, offset: int) -> None:
        # Dovecot does not escape `=`, so a key with one cannot be told from a value with one; its own keys have none.
        escaped_key, equals, value = text.partition("=")
        key = unescape_tab(escaped_key)
        if not equals:
            raise DecodeError("expected 'field:KEY=VALUE', found no '='", offset)
        if key in self.fields:
            raise DecodeError(f"the field {key[:80]!r} occurs twice", offset)
        self.fields[key] = unescape_tab(value)

    def event(self, catalogue: Catalogue) -> Event:
        # Types depend on the name of the event, so values wait until all parts are read.
        name = self.members.get("event")
        if self.fields:
            self.members["fields"] = {key: _value(key, text, name, catalogue) for key, text in self.fields.items()}
        return typed_event(self.members, catalogue)


def _word(kind: str, text: str, offset: int) -> str:
    """Checks the name of an event, which is one word, or of a host or category, in which no lost part may hide."""
    if kind == "event" and not is_possible_name(text):
        raise DecodeError(NOT_A_NAME, offset)
    if kind != "event" and LOST_TAB.search(text):
        raise DecodeError(f"the part {kind!r} holds further parts", offset)
    return text


def _time(text: str, offset: int) -> int:
    usec = parse_rfc3339(text)
    if usec is None:
        usec = parse_unix(text)
    if usec is None:
        raise DecodeError(f"{text[:40]!r} is not a time as Dovecot writes it", offset)
    return usec


def _value(key: str, text: str, event_name: str | None, catalogue: Catalogue) -> Any:
    """The value with the type that this field has; text that does not have that type's form stays a string."""
    kind = catalogue.field_type(key, event_name)
    if kind == "int":
        number = parse_int64(text)
        return text if number is None else number
    if kind == "strlist":
        # Elements are escaped twice: each by itself, and their list as the value ("tab-text").
        return [unescape_tab(item) for item in text.split("\t")] if text else []
    if kind == "timestamp":
        usec = parse_unix(text)
        return text if usec is None else Timestamp(usec)
    return text  # typed_event recovers addresses and RFC 3339 times
