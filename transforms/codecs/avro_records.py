"""Avro records of events: the only stored form that keeps every type.

`AVRO_SCHEMA` is a plain Avro schema, so that BigQuery, Spark and the like read the files. Fields are an array of keys
and values, because their order is part of an event. A string that is not UTF-8 is stored as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from dovebeam.transforms.codecs.lines import only_decode_errors
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import LOG_TYPES, Event, make_event
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, IPAddress, Timestamp, canonical_ip

__all__ = ["AVRO_SCHEMA", "event_from_avro", "event_to_avro"]

_TEXT: Final = ["string", "bytes"]
_OPTIONAL_TEXT: Final = ["null", *_TEXT]
_OPTIONAL_TEXTS: Final = ["null", {"type": "array", "items": _TEXT}]

# A value is a record with one branch set: unions of records and primitives are what readers of Avro disagree about.
_VALUE: Final = {
    "type": "record",
    "name": "Field",
    "fields": [
        {"name": "key", "type": _TEXT},
        {"name": "str", "type": _OPTIONAL_TEXT, "default": None},
        {"name": "int", "type": ["null", "long"], "default": None},
        {"name": "time_usec", "type": ["null", "long"], "default": None},
        {"name": "ip", "type": ["null", "string"], "default": None},
        {"name": "strlist", "type": _OPTIONAL_TEXTS, "default": None},
    ],
}

# Plain longs for times instead of the logical type timestamp-micros: readers turn that into datetimes, which end with
# the year 9999, and Dovecot's times do not.
AVRO_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "record",
    "name": "DovecotEvent",
    "namespace": "dovebeam",
    "fields": [
        {"name": "name", "type": _OPTIONAL_TEXT, "default": None},
        {"name": "hostname", "type": _OPTIONAL_TEXT, "default": None},
        {"name": "start_time_usec", "type": ["null", "long"], "default": None},
        {"name": "end_time_usec", "type": ["null", "long"], "default": None},
        {"name": "categories", "type": _OPTIONAL_TEXTS, "default": None},
        {"name": "fields", "type": ["null", {"type": "array", "items": _VALUE}], "default": None},
        {"name": "log_type", "type": ["null", "string"], "default": None},
        {"name": "source_file", "type": _OPTIONAL_TEXT, "default": None},
        {"name": "source_line", "type": ["null", "long"], "default": None},
    ],
}


def event_to_avro(event: Event) -> dict[str, Any]:
    """The record of an event by `AVRO_SCHEMA`; times are microseconds since 1970."""
    return {
        "name": _text_to_avro(event.name),
        "hostname": _text_to_avro(event.hostname),
        "start_time_usec": event.start_time,
        "end_time_usec": event.end_time,
        "categories": None if event.raw_categories is UNSET else _texts_to_avro(event.categories),
        "fields": None if event.raw_fields is UNSET else [_field_to_avro(*item) for item in event.fields.items()],
        "log_type": None if event.log_type is UNSET else event.log_type,
        "source_file": None if event.source_file is UNSET else _text_to_avro(str(event.source_file)),
        "source_line": None if event.source_line is UNSET else event.source_line,
    }


@only_decode_errors
def event_from_avro(record: Mapping[str, Any]) -> Event:
    """The event of a record written with `AVRO_SCHEMA`.

    Raises:
        DecodeError: if a member is missing or holds what the schema does not allow; its offset is always 0.
    """
    # Files may come from other writers, so nothing is taken for granted that only our own writer guarantees.
    if not isinstance(record, Mapping):
        raise DecodeError(f"expected a record, found {type(record).__name__}")
    fields = record.get("fields")
    categories = record.get("categories")
    log_type = record.get("log_type")
    if log_type is not None and log_type not in LOG_TYPES:
        raise DecodeError(f"unknown log type {_shown(log_type)}, expected one of {', '.join(LOG_TYPES)}")
    file, line = _optional_text(record, "source_file"), _optional_int(record, "source_line")
    return make_event(
        _optional_text(record, "name"),
        hostname=_optional_text(record, "hostname"),
        start_time=_optional_int(record, "start_time_usec"),
        end_time=_optional_int(record, "end_time_usec"),
        categories=None if categories is None else _texts("categories", categories),
        fields=None if fields is None else _fields(fields),
        log_type=log_type,
        source=None if file is None else (file, line or 0),
    )


def _text_to_avro(text: str | None) -> str | bytes | None:
    """The text, or its bytes if they are not UTF-8, which an Avro string must be."""
    if text is None or text.isascii():
        return text
    data = text.encode("utf-8", "surrogateescape")
    return data if any("\ud800" <= character <= "\udfff" for character in text) else text


def _texts_to_avro(texts: list[str]) -> list[str | bytes | None]:
    return [_text_to_avro(text) for text in texts]


def _field_to_avro(key: str, value: Value) -> dict[str, Any]:
    field: dict[str, Any] = {"key": _text_to_avro(key), "str": None, "int": None, "time_usec": None, "ip": None}
    field["strlist"] = None
    if isinstance(value, str):
        field["str"] = _text_to_avro(value)
    elif isinstance(value, Timestamp):
        field["time_usec"] = value.usec
    elif isinstance(value, IPAddress):
        field["ip"] = value.text
    elif isinstance(value, list):
        field["strlist"] = _texts_to_avro(value)
    else:
        field["int"] = value
    return field


def _fields(records: Any) -> dict[str, Value]:
    if not isinstance(records, list):
        raise DecodeError(f"'fields' is a list of records, found {type(records).__name__}")
    fields: dict[str, Value] = {}
    for record in records:
        if not isinstance(record, Mapping):
            raise DecodeError(f"a field is a record, found {type(record).__name__}")
        key = _text("key", record.get("key"))
        if key in fields:
            raise DecodeError(f"the field {key[:80]!r} occurs twice")
        fields[key] = _field_value(key, record)
    return fields


def _field_value(key: str, record: Mapping[str, Any]) -> Value:
    branches = [name for name in ("str", "int", "time_usec", "ip", "strlist") if record.get(name) is not None]
    if len(branches) != 1:
        raise DecodeError(f"the field {key[:80]!r} needs a value of exactly one type, found {len(branches)}")
    branch = branches[0]
    value = record[branch]
    if branch == "str":
        return _text(key, value)
    if branch == "strlist":
        return _texts(key, value)
    if branch == "ip":
        text = _text(key, value)
        if not canonical_ip(text):
            raise DecodeError(f"{text[:60]!r} in the field {key[:80]!r} is not an IP address in canonical form")
        return IPAddress(text)
    number = _int(key, value)
    return Timestamp(number) if branch == "time_usec" else number


def _optional_text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return None if value is None else _text(name, value)


def _optional_int(record: Mapping[str, Any], name: str) -> int | None:
    value = record.get(name)
    return None if value is None else _int(name, value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise DecodeError(f"{name[:80]!r} holds text, found {type(value).__name__}")
    return value


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise DecodeError(f"{name[:80]!r} holds a list of text, found {type(value).__name__}")
    return [_text(name, item) for item in value]


def _int(name: str, value: Any) -> int:
    # isinstance would take a bool, which is not a number in Avro.
    if type(value) is not int or not INT64_MIN <= value <= INT64_MAX:
        raise DecodeError(f"{name[:80]!r} holds a 64-bit integer, found {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A value for a message: short, and never one whose text Python refuses to make (numbers of 4,300 digits)."""
    if isinstance(value, str | float) or (isinstance(value, int) and INT64_MIN <= value <= INT64_MAX):
        return f"{value!r:.40}"
    return "a larger integer" if isinstance(value, int) else type(value).__name__
