"""The format `tab-text`: parts separated by TAB, control bytes escaped with 0x01, bytes that are not UTF-8 kept.

Rules: Dovecot's export formats, "tab-text". Where Dovecot crashes (an unnamed event with its name included) the part is
left out, as json does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.formats.selection import Selection, compile_time_text, typed_value

__all__ = ["compile_tab_text", "escape_tab", "unescape_tab"]

_ESCAPES: Final = {0: "\x010", 1: "\x011", 9: "\x01t", 10: "\x01n", 13: "\x01r"}
_UNESCAPES: Final = {"0": "\0", "1": "\x01", "t": "\t", "n": "\n", "r": "\r"}
_ESCAPED: Final = re.compile("\x01(.?)", re.DOTALL)
_CUT_MARK: Final = "..."


def compile_tab_text(selection: Selection) -> Callable[[Event], bytes]:
    """Compiles the closure that writes events by this selection."""
    name, hostname, timestamps, categories = (
        selection.name,
        selection.hostname,
        selection.timestamps,
        selection.categories,
    )
    write_fields = _compile_fields(selection) if "fields" in selection.include else None
    time_text = compile_time_text(unix_time=selection.unix_time)

    def write(event: Event) -> bytes:
        parts: list[str] = []
        if name and event.raw_name is not UNSET:
            parts.append(f"event:{escape_tab(event.raw_name)}")
        if hostname and event.raw_hostname is not UNSET:
            parts.append(f"hostname:{escape_tab(event.raw_hostname)}")
        if timestamps:
            if event.raw_start_time is not UNSET:
                parts.append(f"start_time:{time_text(event.raw_start_time)}")
            if event.raw_end_time is not UNSET:
                parts.append(f"end_time:{time_text(event.raw_end_time)}")
        if categories and event.raw_categories is not UNSET:
            # Without categories Dovecot still writes their separator.
            parts.extend([f"category:{escape_tab(item)}" for item in event.raw_categories] or [""])
        if write_fields is not None and event.raw_fields is not UNSET:
            write_fields(event, parts)
        return "\t".join(parts).encode("utf-8", "surrogateescape")

    return write


def _compile_fields(selection: Selection) -> Callable[[Event, list[str]], None]:
    keys, limit, unix_time = selection.fields, selection.max_string_bytes, selection.unix_time
    time_text = compile_time_text(unix_time=unix_time)

    def text(event: Event, key: str, raw: Any) -> str:
        value = typed_value(event, key, raw) if unix_time else raw
        if type(value) is str:
            return escape_tab(value) if limit is None else _cut(value, limit)
        # Elements are escaped, joined and escaped again, and the log driver's limit does not cut lists.
        if type(value) is list:
            return escape_tab("\t".join([escape_tab(item) for item in value]))
        if type(value) is Timestamp:
            return time_text(value.usec)
        return value.text if type(value) is IPAddress else str(value)

    def write(event: Event, parts: list[str]) -> None:
        raw = event.raw_fields
        selected = [(key, raw[key]) for key in keys if key in raw] if keys else raw.items()
        parts.extend([f"field:{escape_tab(key)}={text(event, key, value)}" for key, value in selected])

    return write


def escape_tab(text: str) -> str:
    """Dovecot's escaping of NUL, 0x01, TAB, LF and CR."""
    # Every escaped character is unprintable, and isprintable costs a fraction of a translation.
    return text if text.isprintable() else text.translate(_ESCAPES)


def unescape_tab(text: str) -> str:
    """The inverse of `escape_tab`; a 0x01 before any other character, or at the end, is dropped, as Dovecot does."""
    if "\x01" not in text:
        return text
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[1]), text)


def _cut(text: str, limit: int) -> str:
    """The escaped string, cut after `limit` bytes of the unescaped one without regard to characters."""
    if len(text) * 4 <= limit:
        return escape_tab(text)
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return escape_tab(text)
    return escape_tab(data[:limit].decode("utf-8", "surrogateescape")) + _CUT_MARK
