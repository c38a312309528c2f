"""Writes docs/reference/schemas/*.schema.json: JSON Schemas of an event, a reject and a ledger, for other languages.

    make schemas

Members, types and what is optional come from the types that the decoders have, fields of events from the catalogue,
descriptions from docstrings. Only what decoders check beyond types is written here.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from dovebeam.pipelines.ledger.ledger import ExporterAccount, Ledger, MetricAccount
from dovebeam.transforms.codecs.json_lines import EXPORTED, UNIX
from dovebeam.transforms.codecs.lines import LOST_TAB, is_possible_name
from dovebeam.transforms.events.catalogue import CATALOGUE, CATEGORIES, EVENTS, FIELDS
from dovebeam.transforms.events.event import ExportedEvent
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN

__all__ = ["FOLDER", "SCHEMAS", "event_schema", "ledger_schema", "reject_schema", "text_of"]

FOLDER: Final = Path(__file__).parents[1] / "reference" / "schemas"

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NEVER: Final[Schema] = {"not": {}}
_BASE64: Final = "^[A-Za-z0-9+/]*={0,2}$"

_TEXT: Final[Schema] = {"type": "string"}
_INT64: Final[Schema] = {"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX}
_RFC3339: Final[Schema] = {"type": "string", "format": "date-time"}
_UNIX_TIME: Final[Schema] = {"type": "number"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}


# Events.


def event_schema() -> Schema:
    """Schema of an event: a line of an export with the format `json`."""
    members, other_times = (_members_of(shape.decoder.type) for shape in (EXPORTED, UNIX))
    members = {name: _either(member, other_times[name]) for name, member in members.items()}
    value = _either(*(each.pop("additionalProperties") for each in members["fields"].pop("anyOf")))
    members["event"] = _ref("name")
    members["categories"]["items"]["examples"] = sorted(CATEGORIES)
    members["fields"] = {
        "type": "object",
        "properties": {key: _field(key) for key in sorted(FIELDS)},
        "additionalProperties": _ref("value"),
    }
    texts = _described(ExportedEvent)
    return {
        "$schema": _DIALECT,
        "title": "Event",
        "description": "One event: a line that Dovecot exports with `format = json`, as dovebeam reads and writes it.",
        "type": "object",
        "properties": {name: {"description": texts[name], **_named(member)} for name, member in members.items()},
        "additionalProperties": False,
        "$defs": {
            "name": {
                "type": "string",
                "not": {"pattern": f"{_not_in_names()}|{LOST_TAB.pattern}"},
                "examples": sorted(EVENTS),
            },
            **{name: {"description": text, **shape, **more} for name, text, shape, more in _VALUES},
            "address": {
                "description": "An IP address as text.",
                "type": "string",
                "examples": ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"],
            },
            "time": {"description": "A time in either format.", "anyOf": [_ref("rfc3339"), _ref("unix")]},
            "value": {"description": "The value of any field.", **_named(value)},
        },
    }


_VALUES: Final[tuple[tuple[str, str, Schema, Schema], ...]] = (
    ("string", "Text. Bytes that are not UTF-8 are U+FFFD.", _TEXT, {}),
    ("integer", "A signed number of 64 bits.", _INT64, {}),
    (
        "rfc3339",
        "A time with `event_exporter_time_format = rfc3339`, which Dovecot writes in UTC with six digits of a second.",
        _RFC3339,
        {
            # Dovecot's years above 9999 have the digits they need; other writers may have other zones and fractions.
            "pattern": "^-?[0-9]{4,12}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}"
            r"(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})$",
            "examples": ["2026-11-22T08:00:00.424812Z"],
        },
    ),
    (
        "unix",
        "A time with `event_exporter_time_format = unix`: seconds since 1970 with six digits behind the point.",
        _UNIX_TIME,
        {
            "minimum": INT64_MIN,
            "maximum": INT64_MAX,
            "not": {"exclusiveMinimum": -1, "exclusiveMaximum": 0},  # fractions count upwards, also before 1970
            "examples": [1795334400.424812],
        },
    ),
    ("strings", "A list of texts.", _TEXTS, {}),
)
"""Definitions: name, description, its shape as msgspec describes it, what the decoder checks beyond that."""

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"str": "string", "int": "integer", "ip": "address", "timestamp": "time", "strlist": "strings"}
)
"""Types of the catalogue, and their definitions."""


def _field(key: str) -> Schema:
    """A field of the catalogue with each type that it has in some event."""
    kinds = {CATALOGUE.field_type(key, event, categories) for event in (None, *EVENTS) for categories in (None, ())}
    # What is an address in one event and text in another is text in both.
    names = sorted({_NAMES[kind] for kind in kinds} - ({"string"} if "ip" in kinds else set()))
    return _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(name) for name in names]}


def _members_of(kind: type) -> Schema:
    """The members of a type of lines as msgspec describes them, without those that no line has."""
    made = msgspec.json.schema(kind, schema_hook=lambda _: _NEVER)["$defs"][kind.__name__]
    if made["required"] or made["additionalProperties"]:
        raise TypeError(made)
    return {name: member for name, member in made["properties"].items() if member != _NEVER}


def _either(one: Schema, other: Schema) -> Schema:
    """What one of both allows."""
    if one == other:
        return one
    alternatives = [*one.get("anyOf", [one]), *other.get("anyOf", [other])]
    return {"anyOf": [each for index, each in enumerate(alternatives) if each not in alternatives[:index]]}


def _named(schema: Schema) -> Schema:
    """The same with references to the definitions of values."""
    if "anyOf" not in schema:
        return schema
    names = [next(name for name, _, shape, _ in _VALUES if shape == each) for each in schema["anyOf"]]
    return _ref("time") if set(names) == {"rfc3339", "unix"} else {"anyOf": [_ref(name) for name in names]}


def _not_in_names() -> str:
    """The characters that are in no name of an event, as a class of a regular expression in every dialect."""
    found = [code for code in range(0x10000) if not 0xD800 <= code < 0xE000 and not is_possible_name(chr(code))]
    spans: list[list[int]] = []
    for code in found:
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return f"[{''.join('-'.join(map(_character, sorted(set(span)))) for span in spans)}]"


def _character(code: int) -> str:
    # RE2 has no \u, so that other characters are written as they are, which in the file is JSON's escape.
    return f"\\x{code:02x}" if code < 0x100 else chr(code)


# Rejects.


def reject_schema() -> Schema:
    """Schema of a reject: a line of the file of `--rejects`."""
    made = msgspec.json.schema(Reject)["$defs"]
    reject = made.pop("Reject")
    for name, text in _described(Reject).items():
        member = reject["properties"][name]
        if member.get("contentEncoding") == "base64":
            member["pattern"] = _BASE64
        reject["properties"][name] = {"description": text, **member}
    for each in made.values():
        each["description"] = _plain(each["description"])
    reject["description"] = _first_line(Reject)
    return {"$schema": _DIALECT, **reject, "$defs": made}


# Ledgers.


def ledger_schema() -> Schema:
    """Schema of a ledger: the file of `--ledger`."""
    exporter = ExporterAccount("out", "file", "f", 1, 1, 1, 0)
    full = Ledger(
        *(1, 1, 0, 0, 0),
        metrics=(MetricAccount("m", "out", 1),),
        exporters=(exporter,),
        reasons={"": 1},
        accounted_rejects=0,
        damaged=("f",),
        left_out=("metric m",),
    )
    made = _of_value({**full.as_dict(), "imbalances": [""]})
    members = made["properties"]
    members["rejected"]["properties"]["reasons"] = {"type": "object", "additionalProperties": {"type": "integer"}}
    # Only exporters of a stream with queues have these.
    queued = _of_value(dataclasses.replace(exporter, waiting=0).queue_as_dict())
    members["exporters"]["items"]["properties"] |= queued["properties"]
    _describe(members, Ledger)
    _describe(members["exporters"]["items"]["properties"], ExporterAccount)
    return {"$schema": _DIALECT, "title": "Ledger", "description": _first_line(Ledger), **made}


def _describe(members: Schema, kind: type) -> None:
    """Adds the descriptions that a class has of its attributes, properties and methods."""
    texts = {name: _plain(each.__doc__) for name, each in vars(kind).items() if name in members and each.__doc__}
    for name, text in {**texts, **_documented(kind)}.items():
        if name in members:
            members[name] = {"description": text, **members[name]}


def _of_value(value: object) -> Schema:
    """The schema of values that are like this one; objects may get more members in later versions."""
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array", "items": _of_value(value[0])}
        case dict():
            return {
                "type": "object",
                "properties": {key: _of_value(each) for key, each in value.items()},
                "required": list(value),
            }
    raise TypeError(value)


# Descriptions.

_ATTRIBUTE: Final = re.compile(r"    ([a-z_]+): (.*)")


def _described(kind: type) -> dict[str, str]:
    """The descriptions of a struct's members by their names in JSON."""
    texts = _documented(kind)
    names = {each.name: each.encode_name for each in msgspec.structs.fields(kind)}
    return {names[name]: text for name, text in texts.items()}


def _documented(kind: type) -> dict[str, str]:
    """The texts of a docstring's part `Attributes`, as sentences."""
    texts: dict[str, list[str]] = {}
    name = ""
    for line in inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2].splitlines():
        if found := _ATTRIBUTE.fullmatch(line):
            name = found[1]
            texts[name] = [found[2]]
        elif name:
            texts[name].append(line.strip())
    return {name: _plain(" ".join(lines)) for name, lines in texts.items()}


def _first_line(kind: type) -> str:
    return _plain(inspect.cleandoc(kind.__doc__ or "").partition("\n")[0])


def _plain(text: str) -> str:
    """A text of a docstring for readers who do not know Python."""
    text = re.sub(r"\bNone\b", "null", text)
    return f"{text[0].upper()}{text[1:]}"


# Files.


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = MappingProxyType(
    {
        "event.schema.json": event_schema,
        "reject.schema.json": reject_schema,
        "ledger.schema.json": ledger_schema,
    }
)
"""The files, and what makes them."""


def text_of(schema: Schema) -> str:
    """The text of a file: what fits into a line is in one."""
    return "\n".join(_lines(schema, "")) + "\n"


def _lines(value: object, indent: str, before: str = "", after: str = "") -> Iterator[str]:
    short = f"{indent}{before}{json.dumps(value)}{after}"
    if len(short) <= 120 or not isinstance(value, dict | list):
        yield short
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    entries: Iterable[tuple[str, object]] = (
        ((f"{json.dumps(key)}: ", each) for key, each in value.items())
        if isinstance(value, dict)
        else (("", each) for each in value)
    )
    yield f"{indent}{before}{opening}"
    for index, (key, each) in enumerate(entries, 1):
        yield from _lines(each, f"{indent}  ", key, "," if index < len(value) else "")
    yield f"{indent}{closing}{after}"


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, made in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(made()), "utf-8")


if __name__ == "__main__":
    main()
