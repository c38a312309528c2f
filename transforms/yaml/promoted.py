"""Fields of events as columns of their own, for SQL and for the expressions of Beam YAML."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Optional

import apache_beam as beam
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.typehints.schemas import named_fields_from_element_type

from dovebeam.transforms.errors import UnknownNameError
from dovebeam.transforms.rows import EventRow, FieldRow
from dovebeam.transforms.values.timestamps import format_rfc3339

__all__ = ["COLUMN_TYPES", "check_columns", "promote", "promoted_type"]

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any
COLUMN_TYPES: Final[Mapping[str, Any]] = {
    "str": Optional[str],
    "int": Optional[int],
    "time_usec": Optional[int],
    "ip": Optional[str],
    "strlist": Optional[list[str]],
}
"""What a column of a field can be; the names are those of the columns of `FieldRow`."""


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuses columns that cannot be.

    Raises:
        UnknownNameError: there is no such type.
        ValueError: an event has a column of that name.
    """
    for name, kind in columns.items():
        if kind not in COLUMN_TYPES:
            raise UnknownNameError(f"type of the column {name!r}:", str(kind), COLUMN_TYPES)
        if name in EventRow._fields:
            raise ValueError(f"columns: every event has a column {name!r}, which is not the field of that name")


def promoted_type(columns: Mapping[str, str]) -> Any:
    """The schema of events with these columns."""
    if not columns:
        return EventRow
    own = named_fields_from_element_type(EventRow)
    return RowTypeConstraint.from_fields([*own, *((name, COLUMN_TYPES[kind]) for name, kind in columns.items())])


def promote(columns: Mapping[str, str]) -> Callable[[EventRow], Any]:
    """What gives a row its further columns: a field that is missing, or of another type, is None there."""
    if not columns:
        return lambda row: row

    def with_columns(row: EventRow) -> beam.Row:
        found = {field.key: field for field in row.fields or ()}
        return beam.Row(**row._asdict(), **dict(_values(columns, found)))

    return with_columns


def _values(columns: Mapping[str, str], found: Mapping[str, FieldRow]) -> Iterator[tuple[str, Any]]:
    for name, kind in columns.items():
        field = found.get(name)
        if field is None:
            yield name, None
        else:
            yield name, _text(field) if kind == "str" else getattr(field, kind)


def _text(field: FieldRow) -> str | None:
    """Any single value as text, as in an export; None for a list."""
    if field.int is not None:
        return str(field.int)
    if field.time_usec is not None:
        return format_rfc3339(field.time_usec)
    return field.ip if field.ip is not None else field.str
