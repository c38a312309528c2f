"""Selection of what a formatter writes (parts, fields, time format, length of strings), and texts of both formats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import Event, ExportedEvent, time_usec
from dovebeam.transforms.events.values import Timestamp, format_rfc3339, format_unix

__all__ = ["Selection", "compile_time_text", "json_cut", "typed_value"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The settings that steer a formatter.

    Attributes:
        include: the parts of `exporter_include`; an empty set means that nothing is written.
        fields: the keys of `fields` in their order, without duplicates; empty means all fields in the event's order.
        unix_time: whether times are written as Unix time instead of RFC 3339.
        max_string_bytes: length at which the log driver cuts strings, None for no limit.
    """

    include: frozenset[str]
    fields: tuple[str, ...]
    unix_time: bool
    max_string_bytes: int | None

    @property
    def name(self) -> bool:
        """Whether the event's name is written."""
        return "name" in self.include

    @property
    def hostname(self) -> bool:
        """Whether the host name is written."""
        return "hostname" in self.include

    @property
    def timestamps(self) -> bool:
        """Whether both times are written."""
        return "timestamps" in self.include

    @property
    def categories(self) -> bool:
        """Whether the categories are written."""
        return "categories" in self.include

    @property
    def all_fields(self) -> bool:
        """Whether every field is written."""
        return "fields" in self.include and not self.fields


# Texts of both formats: times, and the length at which the log driver cuts strings.


def rfc3339_text(raw: Any) -> str:
    """The RFC 3339 text of a raw time of an event: an aware datetime or microseconds."""
    # isoformat leaves out a fraction of zero, which Dovecot writes.
    if type(raw) is dt.datetime and raw.tzinfo is dt.UTC and raw.microsecond:
        return raw.isoformat()[:26] + "Z"
    usec = time_usec(raw)
    return format_rfc3339(0 if usec is None else usec)


def unix_text(raw: Any) -> str:
    """The Unix time text of a raw time of an event: an aware datetime or microseconds."""
    usec = time_usec(raw)
    return format_unix(0 if usec is None else usec)


def compile_time_text(*, unix_time: bool) -> Callable[[Any], str]:
    """Selects the function that writes raw times in the exporter's time format."""
    return unix_text if unix_time else rfc3339_text


def typed_value(event: Event, key: str, value: Any) -> Any:
    """The raw `value`, or the timestamp that it stands for; only needed where times are written in another format."""
    if type(value) is str and isinstance(event, ExportedEvent) and CATALOGUE.is_candidate(key):
        recovered = CATALOGUE.recover(key, value, event.name, event.exported_categories)
        return recovered if type(recovered) is Timestamp else value
    return value


def json_cut(data: bytes, limit: int) -> int:
    """Number of bytes of `data` that the json format keeps with the log driver's limit; `len(data)` for all.

    Strings of `limit` bytes and more are cut (at exactly `limit` nothing is lost, but the mark is still added). The cut
    moves back over a character that would be split, and, as Dovecot does, also over one that ends exactly there when a
    byte above 0x7F follows.
    """
    if len(data) <= limit or data[limit] < 0x80:
        return min(len(data), limit)
    # Dovecot takes a byte above 0x7F behind the cut for the middle of a character, even if one begins there.
    cut = limit
    while cut > 0 and 0x80 <= data[cut - 1] <= 0xBF:
        cut -= 1
    if cut > 0 and data[cut - 1] >= 0xC0:
        cut -= 1
    return cut
