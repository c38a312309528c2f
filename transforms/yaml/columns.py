"""Rows of Beam YAML: their columns, fields as columns of their own, rows as JSON, and rows of errors."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Optional

import apache_beam as beam
import msgspec
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.typehints.schemas import named_fields_from_element_type
from apache_beam.utils.timestamp import Timestamp

from dovebeam.transforms.errors import DovebeamError, UnknownNameError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.events.values import format_rfc3339
from dovebeam.transforms.rows import EventRow, FieldRow, RejectRow, reject_to_row

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any

__all__ = [
    "BAD",
    "check_columns",
    "check_events",
    "columns_of",
    "error_output",
    "error_row",
    "error_type",
    "one_column",
    "only_input",
    "promote",
    "promoted_type",
    "reject_errors",
    "row_to_json",
    "with_errors",
]


def only_input(name: str, given: Any) -> Any:
    """Input of a transform that takes exactly one collection.

    Raises:
        ValueError: there are several, or none.
    """
    if not isinstance(given, beam.PCollection):
        raise ValueError(f"{name} takes one input: write input: NAME, of a transform with rows")
    return given


def columns_of(rows: Any) -> dict[str, Any] | None:
    """Types of the columns by name; None if the collection has no schema."""
    try:
        return dict(named_fields_from_element_type(rows.element_type))
    except (TypeError, ValueError):
        return None


def check_events(name: str, rows: Any) -> None:
    """Refuses rows that have no column of an event.

    Raises:
        ValueError: naming the columns that they have.
    """
    # Without a schema nothing can be said here; then each row is checked when it is read.
    columns = columns_of(rows)
    if columns is not None and not set(columns) & set(EventRow._fields):
        wanted, found = ", ".join(EventRow._fields), ", ".join(columns)
        raise ValueError(
            f"{name} takes rows of events, with columns like {wanted}; its input has only: {found}. "
            "DovecotEvents makes such rows"
        )


def one_column(name: str, rows: Any, column: str | None) -> str:
    """Column that a transform reads: the given one, or the only one.

    Raises:
        ValueError: the column does not exist, or none is given and there are several.
    """
    columns = columns_of(rows)
    if columns is None and column is not None:
        return column
    found = ", ".join(columns or ()) or "no schema"
    if column is None:
        if columns is not None and len(columns) == 1:
            return next(iter(columns))
        raise ValueError(f"{name} needs field: NAME, the column to read; its input has: {found}")
    if column not in (columns or ()):
        raise ValueError(f"{name}: there is no column {column!r}; its input has: {found}")
    return column


# Rows as JSON objects.

_encode: Final = msgspec.json.Encoder().encode


def row_to_json(row: Any) -> bytes:
    """A row as JSON: rows and maps are objects, lists arrays, bytes base64, times and decimals text.

    Args:
        row: a `beam.Row`, a named tuple, or a mapping.

    Raises:
        ValueError: it holds what JSON does not have: NaN, infinity, text that is not UTF-8, an unknown type.
    """
    try:
        return _encode(_plain(row))
    except (UnicodeEncodeError, TypeError, RecursionError) as error:
        raise ValueError(f"the row cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """The value in types that msgspec writes as meant."""
    if value is None or isinstance(value, str | bytes | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            # msgspec writes null instead, which would be another value.
            raise ValueError(f"the row cannot be written as JSON: JSON has no number {value}")
        # numpy's float64 is a subclass of float, which msgspec does not write.
        return float(value)
    if isinstance(value, Timestamp):
        return value.to_rfc3339()
    if isinstance(value, Decimal):
        return str(value)
    return _plain_composite(value)


def _plain_composite(value: Any) -> Any:
    # Named tuples and rows of Beam both have it; as tuples they would become arrays without names.
    members = getattr(value, "_asdict", None)
    if members is not None:
        return {name: _plain(member) for name, member in members().items()}
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    # Beam makes numpy's numbers of a schema's; `item` is Python's own.
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return _plain(value.item())
    # Dates and times are left to msgspec.
    if isinstance(value, Iterable) and not hasattr(value, "isoformat"):
        return [_plain(member) for member in value]
    return value


# Fields of events as columns of their own, for SQL and for the expressions of Beam YAML.

COLUMN_TYPES: Final[Mapping[str, Any]] = {
    "str": Optional[str],
    "int": Optional[int],
    "time_usec": Optional[int],
    "ip": Optional[str],
    "strlist": Optional[list[str]],
}
"""Types of a field's column, named like the columns of `FieldRow`."""


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuses columns of an unknown type, or with the name of one that every event has.

    Raises:
        UnknownNameError: the type does not exist.
        ValueError: every event has a column of that name.
    """
    for name, kind in columns.items():
        if kind not in COLUMN_TYPES:
            raise UnknownNameError(f"type of the column {name!r}:", str(kind), COLUMN_TYPES)
        if name in EventRow._fields:
            raise ValueError(f"columns: every event has a column {name!r}, which is not the field of that name")


def promoted_type(columns: Mapping[str, str]) -> Any:
    """Schema of events with these further columns."""
    if not columns:
        return EventRow
    own = named_fields_from_element_type(EventRow)
    return RowTypeConstraint.from_fields([*own, *((name, COLUMN_TYPES[kind]) for name, kind in columns.items())])


def promote(columns: Mapping[str, str]) -> Callable[[EventRow], Any]:
    """Function that adds the columns to a row; a field that is missing, or of another type, is None."""
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


# `error_handling: {output: NAME}`, as Beam YAML's own transforms have it.
#
# Rows that cannot be processed come out at the output NAME as rows of `element`, `msg` and `stack`, so that
# `StripErrorMetadata` gets them back. Without `error_handling` the first one fails the job.

BAD: Final = "bad"
"""Tag of error rows in the outputs of the DoFns of this package."""

# Beam YAML's own name for the main output beside errors.
_GOOD: Final = "good"
_ADVICE: Final = "write error_handling: {output: NAME}, and read what fails from the output NAME"


class RefusedRowError(DovebeamError):
    """Failure of a job at a row that cannot be processed, in a transform without `error_handling`."""


def error_output(error_handling: Mapping[str, Any] | None) -> str | None:
    """Name of the output for errors; None without `error_handling`.

    Raises:
        ValueError: it is not the name of an output, and nothing else.
    """
    if error_handling is None:
        return None
    output = error_handling.get("output")
    if not isinstance(output, str) or not output or output == _GOOD or len(error_handling) != 1:
        raise ValueError(f"error_handling {dict(error_handling)!r} is not valid; {_ADVICE}")
    return output


def error_row(element: Any, message: str, **more: Any) -> beam.Row:
    """Error row of an element."""
    # `stack` is empty, since nothing was raised, but Beam's own error rows have it.
    return beam.Row(element=element, msg=message, stack="", **more)


def error_type(element_type: Any, *more: tuple[str, Any]) -> RowTypeConstraint:
    """Schema of error rows of such elements."""
    return RowTypeConstraint.from_fields([("element", element_type), ("msg", str), ("stack", str), *more])


def reject_errors(rejects: Any) -> Any:
    """Turns a PCollection of Reject into error rows, whose element is the reject as a row."""
    return rejects | "Error rows" >> beam.Map(_of_reject).with_output_types(error_type(RejectRow))


def with_errors(good: Any, errors: Any, output: str | None) -> Any:
    """Outputs of a transform by name, as its `expand` returns them.

    Args:
        good: the main output, None for a sink.
        errors: PCollection of error rows.
        output: from `error_output`.
    """
    if output is None:
        _ = errors | "Fail on an error" >> beam.ParDo(_FailFn())
        return good
    return {output: errors} if good is None else {_GOOD: good, output: errors}


def _of_reject(reject: Reject) -> beam.Row:
    return error_row(reject_to_row(reject), reject.error_message)


class _FailFn(beam.DoFn):
    def process(self, error: Any) -> Iterable[Any]:
        raise RefusedRowError(f"rejected: {error.msg}; to keep such rows and go on, {_ADVICE}")
