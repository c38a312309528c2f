r"""The format `json`: one object without white space, members in Dovecot's order, strings escaped as Dovecot does.

msgspec writes the object; what it writes differently from Dovecot is corrected afterwards, at no cost for most events:
control characters have upper-case digits (`\u001F`), U+2028 and U+2029 are escaped, and every byte that is not part of
valid UTF-8 becomes one U+FFFD. Rules: Dovecot's export formats, "json".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from dovebeam.transforms.events.event import CompleteEvent, Event, ExportedEvent
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.formats.selection import Selection, compile_time_text, json_cut, typed_value

__all__ = ["compile_json"]

_encode: Final = msgspec.json.Encoder().encode
_ESCAPE: Final = re.compile(rb"\\(?:u00([0-9a-f]{2})|.)", re.DOTALL)
# Codecs keep each invalid byte as one lone surrogate (PEP 383), so each becomes one U+FFFD and runs are not merged.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LINE_SEPARATORS: Final = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
_CUT_MARK: Final = "..."


def compile_json(selection: Selection) -> Callable[[Event], bytes]:
    """Compiles the closure that writes events by this selection."""
    members = _compile_members(selection)

    def write(event: Event) -> bytes:
        value = members(event)
        try:
            return _mend(_encode(value))
        except UnicodeEncodeError:
            return _mend(_encode_exactly(value))

    # A struct can be written as it is only if nothing is left out, reordered, rewritten or cut.
    parts_left_out = not (selection.name and selection.hostname and selection.timestamps and selection.categories)
    if parts_left_out or not selection.all_fields or selection.unix_time or selection.max_string_bytes is not None:
        return write

    def write_whole(event: Event) -> bytes:
        # A complete exported event has the shape of the output, so msgspec can write the struct itself, if it writes
        # the times as Dovecot does: in UTC, with a fraction that it will not leave out.
        if type(event) is CompleteEvent:
            start, end = event.raw_start_time, event.raw_end_time
            if start.microsecond and end.microsecond and start.tzinfo is dt.UTC and end.tzinfo is dt.UTC:
                try:
                    out = _encode(event)
                except UnicodeEncodeError:
                    return write(event)
                return _mend(out) if 0x5C in out or 0xE2 in out else out
        return write(event)

    return write_whole


def _compile_members(selection: Selection) -> Callable[[Event], dict[str, Any]]:
    """Compiles the closure that gives the members of the output object, in order, as values for msgspec."""
    name, hostname, timestamps, categories = (
        selection.name,
        selection.hostname,
        selection.timestamps,
        selection.categories,
    )
    write_fields = _compile_fields(selection) if "fields" in selection.include else None
    time_value = _compile_time_value(selection)

    def members(event: Event) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if name and event.raw_name is not UNSET:
            out["event"] = event.raw_name
        if hostname and event.raw_hostname is not UNSET:
            out["hostname"] = event.raw_hostname
        if timestamps:
            if event.raw_start_time is not UNSET:
                out["start_time"] = time_value(event.raw_start_time)
            if event.raw_end_time is not UNSET:
                out["end_time"] = time_value(event.raw_end_time)
        if categories and event.raw_categories is not UNSET:
            out["categories"] = event.raw_categories
        if write_fields is not None and event.raw_fields is not UNSET:
            out["fields"] = write_fields(event)
        return out

    return members


def _compile_time_value(selection: Selection) -> Callable[[Any], Any]:
    """Compiles the values of times for msgspec: RFC 3339 is a string, Unix time a bare number with all its digits."""
    text = compile_time_text(unix_time=selection.unix_time)
    if selection.unix_time:
        return lambda raw: msgspec.Raw(text(raw))
    return text


def _compile_fields(selection: Selection) -> Callable[[Event], dict[str, Any]]:
    keys, limit, unix_time = selection.fields, selection.max_string_bytes, selection.unix_time
    time_value = _compile_time_value(selection)

    def convert(event: Event, key: str, raw: Any) -> Any:
        # With rfc3339 the text of a timestamp is already that of the output.
        value = typed_value(event, key, raw) if unix_time else raw
        if type(value) is Timestamp:
            return time_value(value.usec)
        if type(value) is IPAddress:
            return value.text
        if limit is not None:
            if type(value) is str:
                return _cut(value, limit)
            if type(value) is list:
                return [_cut(item, limit) for item in value]
        return value

    def fields(event: Event) -> dict[str, Any]:
        raw = event.raw_fields
        selected = {key: raw[key] for key in keys if key in raw} if keys else raw
        if isinstance(event, ExportedEvent) and not unix_time and limit is None:
            return selected  # raw values of a line are the values of the output
        return {key: convert(event, key, value) for key, value in selected.items()}

    return fields


def _cut(text: str, limit: int) -> str:
    """The string with the log driver's limit applied."""
    # A character has at most four bytes, so most strings need no encoding to be known as short.
    if len(text) * 4 < limit:
        return text
    data = text.encode("utf-8", "surrogateescape")
    if len(data) < limit:
        return text
    return data[: json_cut(data, limit)].decode("utf-8", "surrogateescape") + _CUT_MARK


def _mend(out: bytes) -> bytes:
    """The output with Dovecot's spelling of what msgspec escapes differently."""
    # Looking for one byte as a number is a memchr, ten times faster than looking for a string of that byte.
    if 0x5C in out and b"\\u00" in out:
        out = _ESCAPE.sub(_upper_case, out)
    # U+2028 and U+2029 begin with this byte, as do quotes and dashes.
    if 0xE2 in out:
        for character, escape in _LINE_SEPARATORS:
            out = out.replace(character, escape)
    return out


def _upper_case(match: re.Match[bytes]) -> bytes:
    digits: bytes | None = match[1]
    return match[0] if digits is None else b"\\u00" + digits.upper()


def _encode_exactly(value: Any) -> bytes:
    """Like msgspec, but with U+FFFD for every byte that is not UTF-8; keys that become equal are all written."""
    if isinstance(value, str):
        return _encode(_SURROGATE.sub("\ufffd", value))
    if isinstance(value, list):
        return b"[" + b",".join(_encode_exactly(item) for item in value) + b"]"
    if isinstance(value, dict):
        items = (_encode_exactly(key) + b":" + _encode_exactly(item) for key, item in value.items())
        return b"{" + b",".join(items) + b"}"
    return _encode(value)
