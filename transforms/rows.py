"""Events and rejects as Beam rows: schemas for Beam YAML, SQL, BigQuery and transforms in other languages.

`EventRow` has the columns of an archive (`AVRO_SCHEMA`), so that a table of rows and a table of archives are one. Times
are microseconds since 1970 as integers: Beam's own type for times becomes another one with each transform of another
language, and an integer is the same everywhere. Fields are a list of keys and values, each with one typed column set,
because a schema has no map of several types, and because their order is part of an event.

`RejectRow` has the names of a reject in JSON; the first ones are those of the dead-letter tables of Google's templates.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Optional, overload

import apache_beam as beam
import numpy as np
from apache_beam.coders import RowCoder, registry
from apache_beam.typehints import typehints
from apache_beam.typehints.schemas import named_fields_from_element_type
from msgspec import UNSET

from dovebeam.transforms.codecs import event_from_avro
from dovebeam.transforms.error_handling import REJECTED, RejectingTransform
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import Value
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import Reject, decode_reject
from dovebeam.transforms.events.values import IPAddress, Timestamp

__all__ = [
    "EventRow",
    "EventsToRows",
    "FieldRow",
    "RejectRow",
    "RejectsToRows",
    "RowsToEvents",
    "event_from_row",
    "event_to_row",
    "reject_to_row",
]

# ruff: noqa: UP045  Beam 2.77 takes `X | None` in a schema for Any
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# Not a class: for a type checker a column named `int` would hide the builtin type from the annotations behind it.
FieldRow = NamedTuple(  # noqa: UP014
    "FieldRow",
    [
        ("key", str),
        ("str", Optional[str]),
        ("int", Optional[int]),
        ("time_usec", Optional[int]),
        ("ip", Optional[str]),
        ("strlist", Optional[Sequence[str]]),
    ],
)
FieldRow.__doc__ = """A field of an event: its key, and its value in the column of its type; the others are None."""


class EventRow(NamedTuple):
    """An event as a row.

    Attributes:
        name: None for an unnamed event.
        hostname: None if it was not exported.
        start_time_usec: microseconds since 1970, None if it was not exported.
        end_time_usec: microseconds since 1970, None if it was not exported.
        categories: ancestors included; None if they were not exported.
        fields: in the event's order; None if they were not exported.
        log_type: None for every exported event.
        source_file: None for every exported event.
        source_line: None for every exported event.
    """

    name: Optional[str] = None
    hostname: Optional[str] = None
    start_time_usec: Optional[int] = None
    end_time_usec: Optional[int] = None
    categories: Optional[Sequence[str]] = None
    fields: Optional[Sequence[FieldRow]] = None
    log_type: Optional[str] = None
    source_file: Optional[str] = None
    source_line: Optional[int] = None


class AttributeRow(NamedTuple):
    """An attribute of the message that a rejected payload came with."""

    key: str
    value: str


class RejectRow(NamedTuple):
    """A `Reject` as a row; the columns are its attributes under their names in JSON."""

    timestamp: str
    payloadString: str  # noqa: N815  Google's names
    payloadBytes: bytes  # noqa: N815
    attributes: Sequence[AttributeRow]
    errorMessage: str  # noqa: N815
    stacktrace: str
    stage: str
    metric: str
    exporter: str
    attempts: int
    httpStatus: Optional[int]  # noqa: N815
    endpointHost: str  # noqa: N815
    sourceUri: str  # noqa: N815
    sourceOffset: Optional[int]  # noqa: N815
    contentHash: str  # noqa: N815
    truncated: Optional[bool]
    heldBack: str  # noqa: N815


def event_to_row(event: Event) -> EventRow:
    """The row of an event; like Dovecot's format `json`, it has U+FFFD for every byte that is not UTF-8."""
    # None for what the export left out, an empty list for what it had none of; see `raw_fields`.
    return EventRow(
        _text(event.name),
        _text(event.hostname),
        event.start_time,
        event.end_time,
        None if event.raw_categories is UNSET else _texts(event.categories),
        None if event.raw_fields is UNSET else [_field_row(*item) for item in event.fields.items()],
        None if event.log_type is UNSET else event.log_type,
        None if event.source_file is UNSET else _text(str(event.source_file)),
        None if event.source_line is UNSET else event.source_line,
    )


def event_from_row(row: Any) -> Event:
    """The event of a row that has the columns of `EventRow`, or some of them; a column that is missing is None.

    Args:
        row: an `EventRow`, a `beam.Row`, or what another process or language made of one.

    Raises:
        DecodeError: a column holds what the schema does not allow; its offset is always 0.
    """
    # A row is a record of an archive, so the archive's decoder checks it, and there is one law of types.
    record: dict[str, Any] = {name: _plain(getattr(row, name, None)) for name in EventRow._fields}
    if record["categories"] is not None:
        record["categories"] = _list("categories", record["categories"])
    if record["fields"] is not None:
        record["fields"] = [_field_record(field) for field in _list("fields", record["fields"])]
    return event_from_avro(record)


def reject_to_row(reject: Reject) -> RejectRow:
    """The row of a reject."""
    return RejectRow(
        timestamp=reject.timestamp,
        payloadString=reject.payload_string,
        payloadBytes=reject.payload_bytes,
        attributes=[AttributeRow(_text(each.key), _text(each.value)) for each in reject.attributes],
        errorMessage=_text(reject.error_message),
        stacktrace=reject.stacktrace,
        stage=reject.stage,
        metric=reject.metric,
        exporter=reject.exporter,
        attempts=reject.attempts,
        httpStatus=reject.http_status,
        endpointHost=reject.endpoint_host,
        sourceUri=_text(reject.source_uri),
        sourceOffset=reject.source_offset,
        contentHash=reject.content_hash,
        truncated=reject.truncated,
        heldBack=_text(reject.held_back),
    )


class EventsToRows(beam.PTransform):
    """Turns each event into an `EventRow`."""

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[EventRow]:
        """Events to rows."""
        rows: beam.PCollection[EventRow] = events | "To rows" >> beam.Map(event_to_row).with_output_types(EventRow)
        return rows


class RowsToEvents(RejectingTransform):
    """Turns rows with the columns of `EventRow`, or some of them, into events.

    Rejects: rows whose columns do not hold an event, as text.
    """

    def expand(self, rows: beam.PCollection[Any]) -> beam.PCollection[Event]:
        """Rows to events.

        Raises:
            TypeError: the elements are known to have none of the columns.
        """
        # At construction: at run time a row without any column of an event would be an event without a name.
        _check_columns(rows.element_type)
        outputs = rows | "From rows" >> beam.ParDo(_FromRowFn()).with_outputs(REJECTED, main="events")
        self.route_rejects(outputs[REJECTED])
        events: beam.PCollection[Event] = outputs["events"]
        return events


class RejectsToRows(beam.PTransform):
    """Turns each reject into a `RejectRow`; also a consumer for Beam's `ErrorHandler`."""

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[RejectRow]:
        """Rejects to rows."""
        rows: beam.PCollection[RejectRow] = rejects | "To rows" >> beam.Map(reject_to_row).with_output_types(RejectRow)
        return rows


@beam.typehints.with_output_types(Event, **{REJECTED: Reject})
class _FromRowFn(beam.DoFn):
    def process(self, row: Any) -> Iterable[Any]:
        try:
            yield event_from_row(row)
        except DecodeError as error:
            # A row has no bytes of its own, so the reject shows it as Python does.
            reject = decode_reject(repr(row).encode("utf-8", "surrogateescape"), error)
            yield beam.pvalue.TaggedOutput(REJECTED, reject)


def _check_columns(element_type: Any) -> None:
    kinds = element_type.union_types if isinstance(element_type, typehints.UnionConstraint) else [element_type]
    if not any(map(_may_be_events, kinds)):
        columns = ", ".join(EventRow._fields)
        raise TypeError(f"RowsToEvents takes rows with columns of EventRow ({columns}), found {element_type}")


def _may_be_events(element_type: Any) -> bool:
    """Whether elements of this type may have a column of an event, as far as Beam knows."""
    # Unknown types pass: the rows are looked at one by one then.
    if element_type == typehints.Any:
        return True
    try:
        columns = {name for name, _ in named_fields_from_element_type(element_type)}
    # It has no schema.
    except TypeError:
        return False
    return not columns.isdisjoint(EventRow._fields)


def _field_row(key: str, value: Value) -> FieldRow:
    name = _text(key)
    if isinstance(value, str):
        return FieldRow(name, _text(value), None, None, None, None)
    if isinstance(value, int):
        return FieldRow(name, None, value, None, None, None)
    if isinstance(value, Timestamp):
        return FieldRow(name, None, None, value.usec, None, None)
    if isinstance(value, IPAddress):
        return FieldRow(name, None, None, None, value.text, None)
    return FieldRow(name, None, None, None, None, _texts(value))


def _field_record(row: Any) -> dict[str, Any]:
    if isinstance(row, FieldRow):
        record = row._asdict()
    else:
        record = {name: getattr(row, name, None) for name in FieldRow._fields}
    record["int"], record["time_usec"] = _plain(record["int"]), _plain(record["time_usec"])
    if record["strlist"] is not None:
        record["strlist"] = _list("strlist", record["strlist"])
    return record


def _list(name: str, value: Any) -> list[Any]:
    # A text is a sequence of texts for Python, and a list of its letters is never meant.
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise DecodeError(f"{name!r} must be a list, found {type(value).__name__}")
    return list(value)


def _plain(value: Any) -> Any:
    """Python's own integer for one of numpy, which is what Beam makes of a schema's integers."""
    return value.item() if isinstance(value, np.integer) else value


def _texts(values: Sequence[str]) -> list[str]:
    return [_text(value) for value in values]


@overload
def _text(text: str) -> str: ...
@overload
def _text(text: None) -> None: ...
def _text(text: str | None) -> str | None:
    # Strings of a schema are UTF-8. U+FFFD for other bytes is what Dovecot's own JSON has for them.
    return text if text is None or text.isascii() else _SURROGATE.sub("\ufffd", text)


# Without this Beam encodes named tuples as any Python object, not by their schema.
for _row in (FieldRow, EventRow, AttributeRow, RejectRow):
    registry.register_coder(_row, RowCoder)
