"""Whether an Avro schema is that of events or of messages; checked before any record is read, as files bring their own.

Accepted is what other tools make of our schema when they rewrite a file: other names of records, unions in another
order, fewer members. Refused is a member that no event has, which would be lost without a word, and whatever lets a
few bytes stand for unbounded records: types without bytes (null outside a union, fixed) and types that recur.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, Literal

from dovebeam.transforms.codecs.avro import AVRO_SCHEMA
from dovebeam.transforms.sources.avro_messages import is_message_schema

__all__ = ["SchemaKind", "check_schema", "schema_kind"]

SchemaKind = Literal["events", "messages"]

_MEMBERS: Final = frozenset(member["name"] for member in AVRO_SCHEMA["fields"])
_SCALARS: Final = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string", "enum"})
_CONTAINERS: Final = {"array": "items", "map": "values"}
_MAX_DEPTH: Final = 12  # ours has seven levels


def check_schema(text: bytes) -> None:
    """Looks whether the records of the schema in `text` are events, or messages that hold events.

    Raises:
        ValueError: saying why they are neither.
    """
    from fastavro import parse_schema  # noqa: PLC0415  few jobs need it

    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its schema is not JSON ({error})") from None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise ValueError("its schema is not that of a record")
    names = [member.get("name") if isinstance(member, dict) else None for member in schema["fields"]]
    if len({str(name) for name in names}) < len(names):
        raise ValueError("its schema has a member twice")
    if not is_message_schema(schema):
        _check_members(names)
    _check_type(schema, 0)
    try:
        parse_schema(schema)
    except Exception as error:
        raise ValueError(f"its schema is not valid ({error})") from None


@lru_cache(maxsize=64)
def schema_kind(text: bytes) -> SchemaKind:
    """What the records of a schema are that `check_schema` has passed."""
    return "messages" if is_message_schema(json.loads(text)) else "events"


def _check_members(names: list[Any]) -> None:
    unknown = [str(name)[:60] for name in names if name not in _MEMBERS]
    if unknown or not names:
        raise ValueError(
            f"its records have {', '.join(unknown[:5]) or 'no members'}, and an event has only "
            f"{', '.join(sorted(_MEMBERS))}; of a message from Pub/Sub, `data` or `message` must be bytes"
        )


def _check_type(schema: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("its schema is nested too deeply")
    if isinstance(schema, list):
        if not schema:
            raise ValueError("its schema has an empty union")
        for branch in schema:
            if branch not in ("null", {"type": "null"}):
                _check_type(branch, depth + 1)
        return
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if isinstance(kind, list | dict):
        _check_type(kind, depth + 1)
    elif isinstance(schema, dict) and kind in _CONTAINERS:
        _check_type(schema.get(_CONTAINERS[kind]), depth + 1)
    elif isinstance(schema, dict) and kind == "record":
        members = schema.get("fields")
        if not isinstance(members, list) or not members:
            raise ValueError("its schema has a record without members")
        for member in members:
            _check_type(member.get("type") if isinstance(member, dict) else None, depth + 1)
    elif not isinstance(kind, str) or kind not in _SCALARS:
        raise ValueError(f"its schema has the type {str(kind)[:60]!r}, which no member of an event has")
