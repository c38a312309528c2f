"""Avro files of Pub/Sub messages: which member is the payload, and which tell where it came from.

Two writers are known. A Cloud Storage subscription writes `data`, and if told so `subscription_name`, `message_id`,
`publish_time` and `attributes`. Google's template "Pub/Sub to Avro" writes `message`, `attributes` and `timestamp`.
The payload of a message is one event's line, or several lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["Message", "is_message_schema", "message_of"]

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
_MEMBERS: Final = frozenset({*_PAYLOADS, *_ABOUT, "attributes"})
_MAX_VALUE_CHARS: Final = 1024  # Pub/Sub's own limit for an attribute


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
    return len(payloads) == 1 and types.keys() <= _MEMBERS and _is_bytes(types[payloads[0]])


def message_of(record: Mapping[str, Any]) -> Message:
    """The message of a record whose schema `is_message_schema` accepts."""
    attributes = [(name, str(record[name])[:_MAX_VALUE_CHARS]) for name in _ABOUT if record.get(name) is not None]
    given = record.get("attributes")
    if isinstance(given, Mapping):
        attributes.extend((str(key), str(value)[:_MAX_VALUE_CHARS]) for key, value in given.items())
    data = record.get("data") if "data" in record else record.get("message")
    return Message(data if isinstance(data, bytes) else b"", tuple(attributes))


def _is_bytes(kind: Any) -> bool:
    if isinstance(kind, list):
        return any(_is_bytes(branch) for branch in kind) and all(branch in ("null", "bytes") for branch in kind)
    return kind == "bytes" or (isinstance(kind, dict) and kind.get("type") == "bytes")
