"""Texts that both formats share: times, and the length at which the log driver cuts strings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import Event, ExportedEvent, time_usec
from dovebeam.transforms.values.timestamps import Timestamp, format_rfc3339, format_unix

__all__ = ["compile_time_text", "json_cut", "rfc3339_text", "typed_value", "unix_text"]


def rfc3339_text(raw: Any) -> str:
    """The RFC 3339 text of a raw time of an event: an aware datetime or microseconds."""
    if type(raw) is dt.datetime and raw.tzinfo is dt.UTC and raw.microsecond:
        return raw.isoformat()[:26] + "Z"
    usec = time_usec(raw)
    return format_rfc3339(0 if usec is None else usec)


def unix_text(raw: Any) -> str:
    """The Unix time text of a raw time of an event: an aware datetime or microseconds."""
    usec = time_usec(raw)
    return format_unix(0 if usec is None else usec)


def compile_time_text(*, unix_time: bool) -> Callable[[Any], str]:
    """The function that writes raw times in the exporter's time format."""
    return unix_text if unix_time else rfc3339_text


def typed_value(event: Event, key: str, value: Any) -> Any:
    """The raw `value`, or the timestamp that it stands for; only where times are rewritten does the difference show."""
    if type(value) is str and isinstance(event, ExportedEvent) and CATALOGUE.is_candidate(key):
        recovered = CATALOGUE.recover(key, value, event.name, event.exported_categories)
        return recovered if type(recovered) is Timestamp else value
    return value


def json_cut(data: bytes, limit: int) -> int:
    """How many bytes of `data` the json format keeps when the log driver's limit applies; `len(data)` for all.

    Strings of `limit` bytes and more are cut (at exactly `limit` nothing is lost, but the mark is still added). The cut
    moves back over a character that would be split, and, as Dovecot does, also over one that ends exactly there when a
    byte above 0x7F follows.
    """
    if len(data) <= limit or data[limit] < 0x80:
        return min(len(data), limit)
    cut = limit
    while cut > 0 and 0x80 <= data[cut - 1] <= 0xBF:
        cut -= 1
    if cut > 0 and data[cut - 1] >= 0xC0:
        cut -= 1
    return cut
