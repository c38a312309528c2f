"""Events of Dovecot, and ranges of their times.

`Event` is what you build; its values have Dovecot's types. `ExportedEvent` is what the codecs return for a line that
Dovecot wrote: the same interface, but its raw values are still those of the line, because recovering every address and
timestamp of every event would cost more than reading it. Types are recovered when they are looked at (`fields`, `get`),
by `Catalogue.recover`.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dovebeam.transforms.events.catalogue import CATALOGUE, Value
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, usec_of_datetime

__all__ = [
    "LOG_TYPES",
    "AwareTime",
    "CompleteEvent",
    "Event",
    "ExportedEvent",
    "LogType",
    "TimeRange",
    "make_event",
    "time_usec",
]


LogType = Literal["debug", "info", "warning", "error", "fatal", "panic"]
LOG_TYPES: Final[tuple[LogType, ...]] = ("debug", "info", "warning", "error", "fatal", "panic")

_Int64 = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
AwareTime = Annotated[dt.datetime, Meta(tz=True)]


# Values hold no cycles, and without the garbage collector's bookkeeping a million events take less time and memory.
# With `omit_defaults` and the members' names msgspec writes an event as the object that Dovecot's json format writes.
class Event(msgspec.Struct, frozen=True, eq=False, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One event. Build it with `make_event`; read it through the properties.

    Text is `str`; bytes that are not UTF-8 are kept as surrogate escapes (PEP 383), so nothing is lost. Do not change
    the lists and dicts of an event. The `raw_*` attributes are how dovebeam stores an event, `UNSET` where a part is
    absent; they are for its own compiled filters and formatters.
    """

    raw_name: Any = msgspec.field(default=UNSET, name="event")
    raw_hostname: Any = msgspec.field(default=UNSET, name="hostname")
    raw_start_time: Any = msgspec.field(default=UNSET, name="start_time")
    raw_end_time: Any = msgspec.field(default=UNSET, name="end_time")
    raw_categories: Any = msgspec.field(default=UNSET, name="categories")
    raw_fields: Any = msgspec.field(default=UNSET, name="fields")
    log_type: LogType | UnsetType = UNSET
    source_file: str | UnsetType = UNSET
    source_line: int | UnsetType = UNSET

    @property
    def name(self) -> str | None:
        """The event's name; None for an unnamed event, which is not the same as the name ''."""
        return None if self.raw_name is UNSET else self.raw_name

    @property
    def hostname(self) -> str | None:
        """The host of the exporting process, None if it was not exported."""
        return None if self.raw_hostname is UNSET else self.raw_hostname

    @property
    def start_time(self) -> int | None:
        """Time of the event's creation, microseconds since 1970; None if it was not exported."""
        return time_usec(self.raw_start_time)

    @property
    def end_time(self) -> int | None:
        """Time when the exporting process got the event, microseconds since 1970; None if it was not exported."""
        return time_usec(self.raw_end_time)

    @property
    def time(self) -> int | None:
        """Event time, which is the end time or else the start time, microseconds since 1970; None if it has neither.

        Time ranges, windows of event time and the time in a path use it.
        """
        return time_usec(self.raw_start_time if self.raw_end_time is UNSET else self.raw_end_time)

    @property
    def categories(self) -> list[str]:
        """All categories, ancestors included, in the order of the export; empty if none were exported."""
        return [] if self.raw_categories is UNSET else self.raw_categories

    @property
    def exported_categories(self) -> list[str] | None:
        """All categories; None if they were not exported, which is not the same as none for the types of addresses."""
        return None if self.raw_categories is UNSET else self.raw_categories

    @property
    def fields(self) -> dict[str, Value]:
        """The typed fields in their order; for an event from an export each access recovers the types again."""
        return {} if self.raw_fields is UNSET else self.raw_fields

    @property
    def duration(self) -> int:
        """Microseconds from creation to sending, which is the integer field `duration`; 0 without one."""
        # Dovecot always computes an integer; a line of another writer may hold something else.
        value = self.raw_fields.get("duration") if self.raw_fields is not UNSET else None
        return value if type(value) is int else 0

    @property
    def source(self) -> str | None:
        """Source location of the code that created the event, file and line; None if unknown, as always in exports."""
        return None if self.source_file is UNSET else f"{self.source_file}:{self.source_line}"

    def get(self, key: str) -> Value | None:
        """The value of one field with its type, or None."""
        value: Value | None = None if self.raw_fields is UNSET else self.raw_fields.get(key)
        return value

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Event) else NotImplemented

    def __ne__(self, other: object) -> bool:  # msgspec.Struct has one of its own that does not ask __eq__
        return not self == other

    # Its lists and dicts could not be hashed. The order of fields counts in equality, since formats write it.
    __hash__ = None  # type: ignore[assignment]

    def _key(self) -> tuple[Any, ...]:
        return (
            self.name,
            self.hostname,
            self.start_time,
            self.end_time,
            self.categories,
            list(self.fields.items()),
            self.log_type,
            self.source,
        )


class ExportedEvent(Event, frozen=True, eq=False, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """An event with the values of a line of an export; msgspec decodes JSON lines straight into this class.

    Values are strings, integers and lists of strings; times are aware datetimes, or integers (microseconds) where a
    datetime cannot hold them. The types below are the whole shape of an exported line: anything else does not decode.

    Attributes:
        raw_name: name of the event; an unnamed event has none.
        raw_hostname: host of the process that exported the event.
        raw_start_time: time of the event's creation.
        raw_end_time: time when the exporting process got the event.
        raw_categories: all categories, ancestors included.
        raw_fields: values by the names of their fields, in Dovecot's order.
    """

    raw_name: str | UnsetType = msgspec.field(default=UNSET, name="event")
    raw_hostname: str | UnsetType = msgspec.field(default=UNSET, name="hostname")
    raw_start_time: AwareTime | UnsetType = msgspec.field(default=UNSET, name="start_time")
    raw_end_time: AwareTime | UnsetType = msgspec.field(default=UNSET, name="end_time")
    raw_categories: list[str] | UnsetType = msgspec.field(default=UNSET, name="categories")
    raw_fields: dict[str, str | _Int64 | list[str]] | UnsetType = msgspec.field(default=UNSET, name="fields")
    log_type: UnsetType = UNSET
    source_file: UnsetType = UNSET
    source_line: UnsetType = UNSET

    @property
    def fields(self) -> dict[str, Value]:
        """The fields in order, types recovered by name; see `Catalogue` for what cannot be recovered."""
        if self.raw_fields is UNSET:
            return {}
        # Looked up once: this runs for each field, and most keys fail the cheap test before the expensive one.
        recover, is_candidate = CATALOGUE.recover, CATALOGUE.is_candidate
        name, categories = self.name, self.exported_categories
        return {
            key: recover(key, value, name, categories) if type(value) is str and is_candidate(key) else value
            for key, value in self.raw_fields.items()
        }

    def get(self, key: str) -> Value | None:
        """The value of one field with its type, or None."""
        value = None if self.raw_fields is UNSET else self.raw_fields.get(key)
        if type(value) is str and CATALOGUE.is_candidate(key):
            return CATALOGUE.recover(key, value, self.name, self.exported_categories)
        return value


class CompleteEvent(ExportedEvent, frozen=True, eq=False, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """An exported event with every part that Dovecot exports by default; blocks are decoded into it first."""

    raw_name: str = msgspec.field(name="event")
    raw_hostname: str = msgspec.field(name="hostname")
    raw_start_time: AwareTime = msgspec.field(name="start_time")
    raw_end_time: AwareTime = msgspec.field(name="end_time")
    raw_categories: list[str] = msgspec.field(name="categories")
    raw_fields: dict[str, str | _Int64 | list[str]] = msgspec.field(name="fields")


def make_event(
    name: str | None = None,
    *,
    fields: dict[str, Value] | None = None,
    categories: list[str] | None = None,
    hostname: str | None = None,
    start_time: int | None = None,
    end_time: int | None = None,
    log_type: LogType | None = None,
    source: tuple[str, int] | None = None,
) -> Event:
    """Builds an event from typed values.

    Args:
        name: None for an unnamed event.
        fields: key to str, int (signed 64 bit), Timestamp, IPAddress or list of str, in Dovecot's order.
        categories: all of them, ancestors included.
        hostname: host of the exporting process.
        start_time: microseconds since 1970.
        end_time: microseconds since 1970.
        log_type: the log level, which filters such as `category=error` look at.
        source: file and line of the code that created the event.
    """
    return Event(
        UNSET if name is None else name,
        UNSET if hostname is None else hostname,
        UNSET if start_time is None else start_time,
        UNSET if end_time is None else end_time,
        UNSET if categories is None else categories,
        UNSET if fields is None else fields,
        UNSET if log_type is None else log_type,
        UNSET if source is None else source[0],
        UNSET if source is None else source[1],
    )


def time_usec(raw: Any) -> int | None:
    """Microseconds since 1970 of a raw time: an aware datetime, microseconds, or UNSET."""
    # msgspec decodes RFC 3339 to a datetime in C; it is converted only where someone asks for the number.
    if isinstance(raw, dt.datetime):
        return usec_of_datetime(raw)
    return None if raw is UNSET else int(raw)


class TimeRange(NamedTuple):
    """Range of event times from `start` up to, not including, `end`; microseconds since 1970, None for no limit."""

    start: int | None = None
    end: int | None = None

    def holds(self, event: Event) -> bool:
        """Whether the event's time is in the range; an event without times is not."""
        time = event.time
        if time is None:
            return False
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)
