"""Whether an Avro schema is that of events: checked before any record is read, because a schema comes with the file.

Accepted is what other tools make of our schema when they rewrite a file: other names of records, unions in another
order, fewer members. Refused is a member that no event has, which would be lost without a word, and whatever lets a
few bytes stand for unbounded records: types without bytes (null outside a union, fixed) and types that recur.
"""

from __future__ import annotations

import json
from typing import Any, Final

from dovebeam.transforms.codecs.avro import AVRO_SCHEMA

__all__ = ["check_event_schema"]

_MEMBERS: Final = frozenset(member["name"] for member in AVRO_SCHEMA["fields"])
_SCALARS: Final = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string", "enum"})
_MAX_DEPTH: Final = 12  # ours has seven levels


def check_event_schema(text: bytes) -> None:
    """Looks whether the records of the schema in `text` are events.

    Raises:
        ValueError: saying why they are not.
    """
    from fastavro import parse_schema  # noqa: PLC0415  few jobs need it

    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its schema is not JSON ({error})") from None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise ValueError("its schema is not that of a record")
    names = [member.get("name") if isinstance(member, dict) else None for member in schema["fields"]]
    unknown = [str(name)[:60] for name in names if name not in _MEMBERS]
    if unknown or not names:
        raise ValueError(
            f"its records have {', '.join(unknown[:5]) or 'no members'}, and an event has only "
            f"{', '.join(sorted(_MEMBERS))}"
        )
    if len(set(names)) < len(names):
        raise ValueError("its schema has a member twice")
    _check_type(schema, 0)
    try:
        parse_schema(schema)
    except Exception as error:
        raise ValueError(f"its schema is not valid ({error})") from None


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
    elif isinstance(schema, dict) and kind == "array":
        _check_type(schema.get("items"), depth + 1)
    elif isinstance(schema, dict) and kind == "record":
        members = schema.get("fields")
        if not isinstance(members, list) or not members:
            raise ValueError("its schema has a record without members")
        for member in members:
            _check_type(member.get("type") if isinstance(member, dict) else None, depth + 1)
    elif not isinstance(kind, str) or kind not in _SCALARS:
        raise ValueError(f"its schema has the type {str(kind)[:60]!r}, which no member of an event has")
