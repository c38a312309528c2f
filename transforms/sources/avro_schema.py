"""Checks the Avro schemas of files, which are those of events or of messages, and converts records to messages.

Accepted are schemas as other tools rewrite ours: other names of records, unions in another order, fewer members.
Refused are members that no event has, which would be silently lost, and types by which a few bytes stand for unbounded
records: types without bytes (null outside a union, fixed) and recursive types.

Records are read with a plain schema that is built from names and types only, without logical types: events have none,
and one of them, decimal, takes a time that grows with the square of a value's length.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from dovebeam.transforms.codecs.avro_records import AVRO_SCHEMA

__all__ = ["Message", "check_schema", "message_of", "message_times", "plain_schema", "schema_kind"]


TimeUnit = Literal["timestamp-millis", "timestamp-micros"]
"""Avro's logical types for times, as Google's writers use them."""

# The members of Google's own Avro files: those of Cloud Storage subscriptions, and those of Dataflow's templates.
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
    """One message of a record.

    Attributes:
        data: its payload.
        attributes: those of the publisher and, by the names of their members, its origin.
    """

    data: bytes
    attributes: tuple[tuple[str, str], ...]


def is_message_schema(schema: Mapping[str, Any]) -> bool:
    """Whether the records of this schema are messages; the schema must be that of a record."""
    # Exactly one payload, and no unknown members, which would be silently lost.
    types = {member.get("name"): member.get("type") for member in schema["fields"] if isinstance(member, dict)}
    payloads = [name for name in _PAYLOADS if name in types]
    return len(payloads) == 1 and types.keys() <= _MESSAGE_MEMBERS and _is_bytes(types[payloads[0]])


def time_units(schema: Mapping[str, Any]) -> dict[str, TimeUnit]:
    """Members that are times, with their units, of a schema that `is_message_schema` accepts."""
    types = {member["name"]: member.get("type") for member in schema["fields"] if member.get("name") in _ABOUT}
    found = {name: kind.get("logicalType") for name, kind in types.items() if isinstance(kind, dict)}
    return {name: unit for name, unit in found.items() if isinstance(unit, str) and unit in _USEC}  # type: ignore[misc]


def message_of(record: Mapping[str, Any], times: Mapping[str, TimeUnit]) -> Message:
    """The message of a record whose schema `is_message_schema` accepts.

    Args:
        record: as fastavro read it.
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
    """A value as text; a time in the form of `MessageOrigin.described`, unless it is out of the range of dates."""
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


# Checked and plain schemas.

SchemaKind = Literal["events", "messages"]

_MEMBERS: Final = frozenset(member["name"] for member in AVRO_SCHEMA["fields"])
_SCALARS: Final = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
_CONTAINERS: Final = {"array": "items", "map": "values"}
_MAX_DEPTH: Final = 12  # ours has seven levels


def check_schema(text: bytes) -> None:
    """Checks that the records of the schema in `text` are events, or messages that hold events.

    Raises:
        ValueError: they are neither, with the reason.
    """
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its schema is not JSON ({error})") from None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise ValueError("its schema is not that of a record")
    names = [member.get("name") if isinstance(member, dict) else None for member in schema["fields"]]
    # fastavro would keep only the last one of two, and so lose the other.
    if len({str(name) for name in names}) < len(names):
        raise ValueError("its schema has a member twice")
    if not is_message_schema(schema):
        _check_members(names)
    # Building the plain schema refuses the types that are not allowed.
    _parsed(_Plain().type(schema, 0))


# Cached, because each block of a file brings the same schema.
@lru_cache(maxsize=64)
def plain_schema(text: bytes) -> Any:
    """The plain schema for fastavro, of a schema that `check_schema` has accepted."""
    return _parsed(_Plain().type(json.loads(text), 0))


@lru_cache(maxsize=64)
def schema_kind(text: bytes) -> SchemaKind:
    """The kind of the records of a schema that `check_schema` has accepted."""
    return "messages" if is_message_schema(json.loads(text)) else "events"


@lru_cache(maxsize=64)
def message_times(text: bytes) -> dict[str, TimeUnit]:
    """Members of messages that are times, with their units, of a schema that `check_schema` has accepted."""
    return time_units(json.loads(text))


def _check_members(names: list[Any]) -> None:
    unknown = [str(name)[:60] for name in names if name not in _MEMBERS]
    if unknown or not names:
        raise ValueError(
            f"its records have {', '.join(unknown[:5]) or 'no members'}, and an event has only "
            f"{', '.join(sorted(_MEMBERS))}; of a message from Pub/Sub, `data` or `message` must be bytes"
        )


def _parsed(schema: Any) -> Any:
    from fastavro import parse_schema  # noqa: PLC0415  few jobs need it

    try:
        return parse_schema(schema)
    except Exception as error:  # of many kinds, since a schema may be wrong in many ways
        raise ValueError(f"its schema is not valid ({error})") from None


class _Plain:
    """Builder of the plain form of one schema, which has only names and types."""

    def __init__(self) -> None:
        self._named = 0

    def type(self, schema: Any, depth: int) -> Any:
        """The plain form of a type.

        Raises:
            ValueError: no member of an event has such a type.
        """
        if depth > _MAX_DEPTH:
            raise ValueError("its schema is nested too deeply")
        if isinstance(schema, list):
            return self._union(schema, depth)
        kind = schema.get("type") if isinstance(schema, dict) else schema
        if isinstance(kind, list | dict):
            return self.type(kind, depth + 1)
        if not isinstance(kind, str):
            kind = str(kind)
        elif kind in _SCALARS:
            return kind
        elif isinstance(schema, dict) and kind in _CONTAINERS:
            inner = _CONTAINERS[kind]
            return {"type": kind, inner: self.type(schema.get(inner), depth + 1)}
        elif isinstance(schema, dict) and kind == "enum":
            return {"type": kind, "name": self._name(), "symbols": _symbols(schema.get("symbols"))}
        elif isinstance(schema, dict) and kind == "record":
            return {"type": kind, "name": self._name(), "fields": self._members(schema.get("fields"), depth)}
        raise ValueError(f"its schema has the type {kind[:60]!r}, which no member of an event has")

    def _union(self, branches: list[Any], depth: int) -> list[Any]:
        if not branches:
            raise ValueError("its schema has an empty union")
        # Null is allowed only here, where the index of the branch takes a byte.
        nothing = ("null", {"type": "null"})
        return ["null" if branch in nothing else self.type(branch, depth + 1) for branch in branches]

    def _members(self, members: Any, depth: int) -> list[dict[str, Any]]:
        if not isinstance(members, list) or not members:
            raise ValueError("its schema has a record without members")
        plain = []
        for member in members:
            name = member.get("name") if isinstance(member, dict) else None
            if not isinstance(name, str):
                raise ValueError("its schema has a member without a name")
            plain.append({"name": name, "type": self.type(member.get("type"), depth + 1)})
        return plain

    def _name(self) -> str:
        """A unique name for a type; the names in a file may be invalid, and are not needed."""
        self._named += 1
        return f"t{self._named}"


def _symbols(symbols: Any) -> list[str]:
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols) or not symbols:
        raise ValueError("its schema has an enum without symbols")
    return symbols
