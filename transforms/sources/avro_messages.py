"""Avro files of Pub/Sub messages: which member is the payload, and which tell where it came from.

Two writers are known. A Cloud Storage subscription writes `data`, and if told so `subscription_name`, `message_id`,
`publish_time` and `attributes`. Google's template "Pub/Sub to Avro" writes `message`, `attributes` and `timestamp`.
The payload of a message is one event's line, or several lines.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

__all__ = ["Message", "TimeUnit", "is_message_schema", "message_of", "time_units"]

TimeUnit = Literal["timestamp-millis", "timestamp-micros"]
"""Avro's logical types for the times that Google's writers know."""

_PAYLOADS: Final = ("data", "message")
_ABOUT: Final = (
    "subscription_name",
    "message_id",
    "publish_time",
    "ordering_key",
    "timestamp",
    "originalSubscription",
    "messageId",
)
_MESSAGE_MEMBERS: Final = frozenset({*_PAYLOADS, *_ABOUT, "attributes"})
_MAX_VALUE_CHARS: Final = 1024  # Pub/Sub's own limit for an attribute
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_USEC: Final[Mapping[str, int]] = {"timestamp-millis": 1000, "timestamp-micros": 1}


class Message(NamedTuple):
    """One message.

    Attributes:
        data: its payload.
        attributes: what the publisher said of it and, by the names of their members, where it came from.
    """

    data: bytes
    attributes: tuple[tuple[str, str], ...]


def is_message_schema(schema: Mapping[str, Any]) -> bool:
    """Whether records of this schema, which is that of a record, are messages."""
    types = {member.get("name"): member.get("type") for member in schema["fields"] if isinstance(member, dict)}
    payloads = [name for name in _PAYLOADS if name in types]
    return len(payloads) == 1 and types.keys() <= _MESSAGE_MEMBERS and _is_bytes(types[payloads[0]])


def time_units(schema: Mapping[str, Any]) -> dict[str, TimeUnit]:
    """Those members of a schema that `is_message_schema` accepts which are times, with their units."""
    types = {member["name"]: member.get("type") for member in schema["fields"] if member.get("name") in _ABOUT}
    found = {name: kind.get("logicalType") for name, kind in types.items() if isinstance(kind, dict)}
    return {name: unit for name, unit in found.items() if isinstance(unit, str) and unit in _USEC}  # type: ignore[misc]


def message_of(record: Mapping[str, Any], times: Mapping[str, TimeUnit]) -> Message:
    """The message of a record whose schema `is_message_schema` accepts.

    Args:
        record: as it was read.
        times: of its schema, from `time_units`.
    """
    about = [(name, record[name]) for name in _ABOUT if record.get(name) is not None]
    attributes = [(name, _text(value, times.get(name))) for name, value in about]
    given = record.get("attributes")
    if isinstance(given, Mapping):
        attributes.extend((str(key), _text(value)) for key, value in given.items())
    data = record.get("data") if "data" in record else record.get("message")
    return Message(data if isinstance(data, bytes) else b"", tuple(attributes))


def _text(value: Any, unit: TimeUnit | None = None) -> str:
    """A value as text; a time as `MessageOrigin.described` writes it, if there is such a time."""
    if unit is not None and isinstance(value, int):
        try:
            time = _EPOCH + dt.timedelta(microseconds=value * _USEC[unit])
        except OverflowError:
            return str(value)
        return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return str(value)[:_MAX_VALUE_CHARS]


def _is_bytes(kind: Any) -> bool:
    if isinstance(kind, list):
        return any(_is_bytes(branch) for branch in kind) and all(branch in ("null", "bytes") for branch in kind)
    return kind == "bytes" or (isinstance(kind, dict) and kind.get("type") == "bytes")
