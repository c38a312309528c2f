"""Events and rejects as Beam rows: nothing is lost on the way there and back, and the schema is typed throughout."""

from typing import Any, get_args, get_type_hints

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints.schemas import named_fields_from_element_type, named_tuple_from_schema, named_tuple_to_schema
from hypothesis import given

from dovebeam.transforms import (
    DecodeEvents,
    EventRow,
    EventsToRows,
    FieldRow,
    FormatEvents,
    IPAddress,
    Reject,
    RejectRow,
    RejectsToRows,
    RowsToEvents,
    Timestamp,
    decode_json,
    encode_json,
    event_from_row,
    event_to_row,
    make_event,
    make_formatter,
    reject_to_row,
)
from dovebeam.transforms.codecs import AVRO_SCHEMA
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.reject import make_reject, reject_to_json
from support.jobs.pipelines import pipeline
from support.oracle.corpus import corpus_lines
from support.strategies import events, utf8_texts

LINE = b'{"event":"a","hostname":"h","start_time":"2026-01-02T03:04:05.000006Z","categories":["c"],"fields":{"user":"u","net_in_bytes":5,"remote_ip":"192.0.2.1","reason_code":["x","y"]}}'


@given(events(utf8_texts))
def test_round_trip(event: Any) -> None:
    """An event of valid text is the same after it was a row, and after the row crossed a process."""
    row = event_to_row(event)
    coder = registry.get_coder(EventRow)
    assert event_from_row(row) == event
    assert event_from_row(coder.decode(coder.encode(row))) == event


@given(events())
def test_json_of_any_event_survives(event: Any) -> None:
    """Whatever bytes an event has, Dovecot's JSON of it is that of its row; only keys that become equal are refused."""
    keys = [event_to_row(make_event(key)).name for key in event.fields]
    if len(set(keys)) == len(keys):
        assert make_formatter("json").format(event_from_row(event_to_row(event))) == make_formatter("json").format(
            event
        )


def test_the_columns() -> None:
    """Each value is in the column of its type; what was not exported is None, what is empty is empty."""
    event = make_event(
        "a", start_time=-1, fields={"s": "x", "i": 5, "t": Timestamp(7), "ip": IPAddress("::1"), "l": ["p"], "e": []}
    )
    row = event_to_row(event)
    assert (row.name, row.hostname, row.start_time_usec, row.categories) == ("a", None, -1, None)
    assert row.fields == [
        FieldRow("s", "x", None, None, None, None),
        FieldRow("i", None, 5, None, None, None),
        FieldRow("t", None, None, 7, None, None),
        FieldRow("ip", None, None, None, "::1", None),
        FieldRow("l", None, None, None, None, ["p"]),
        FieldRow("e", None, None, None, None, []),
    ]


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    """As in Dovecot's JSON: one for each byte; a schema's string can hold nothing else."""
    row = event_to_row(make_event("a\udcff", hostname="\udcc3(", fields={"k\udc80": ["\udcfe"]}))
    assert (row.name, row.hostname) == ("a\ufffd", "\ufffd(")
    assert row.fields == [FieldRow("k\ufffd", None, None, None, None, ["\ufffd"])]


def test_the_columns_are_those_of_an_archive() -> None:
    """A table of rows and a table of archives are one."""
    assert list(EventRow._fields) == [field["name"] for field in AVRO_SCHEMA["fields"]]
    of_a_field = AVRO_SCHEMA["fields"][5]["type"][1]["items"]["fields"]
    assert list(FieldRow._fields) == [field["name"] for field in of_a_field]


@pytest.mark.parametrize("row", [EventRow, FieldRow, RejectRow])
def test_no_column_is_of_any_type(row: Any) -> None:
    """SQL, BigQuery and other languages get types; an Any would be a pickle to them."""
    assert list(get_type_hints(row)) == list(row._fields)
    assert not [name for name, kind in named_fields_from_element_type(row) if Any in (kind, *get_args(kind))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (beam.Row(name=5), "'name' holds text, found int"),
        (beam.Row(start_time_usec="now"), "'start_time_usec' holds a 64-bit integer"),
        (beam.Row(name="a", categories="imap"), "'categories' must be a list, found str"),
        (beam.Row(fields=5), "'fields' must be a list, found int"),
        (beam.Row(fields=[beam.Row(key="user")]), "the field 'user' needs a value of exactly one type, found 0"),
        (beam.Row(log_type="loud"), "unknown log type 'loud'"),
        (beam.Row(fields=[beam.Row(key="a", ip="1.2.3")]), "is not an IP address"),
    ],
)
def test_rows_that_are_no_events(row: Any, message: str) -> None:
    """A wrong value is named with its column."""
    with pytest.raises(DecodeError, match=message):
        event_from_row(row)


def test_some_columns_are_enough() -> None:
    """A row that lacks columns is an event that lacks these parts; further columns are nobody's business."""
    assert event_from_row(beam.Row(name="a", colour="red")) == make_event("a")


def test_rows_of_other_processes() -> None:
    """A class that Beam made of the schema, with numpy's integers, is as good as ours."""
    import numpy as np

    made = named_tuple_from_schema(named_tuple_to_schema(EventRow))
    row = made(*event_to_row(make_event("a", start_time=5)))._replace(start_time_usec=np.int64(5))
    assert event_from_row(row) == make_event("a", start_time=5)


def test_transforms() -> None:
    """Events to rows and back in a pipeline, with what is no event at the error handler."""
    lines = corpus_lines("events.json.gz")[:500]
    with pipeline() as (p, _):
        rows = p | beam.Create(lines, reshuffle=False) | DecodeEvents() | EventsToRows()
        assert rows.element_type is EventRow
        with ErrorHandler(RejectsToRows()) as rejects:
            back = rows | RowsToEvents().with_error_handler(rejects) | FormatEvents()
            bad = p | "bad" >> beam.Create([beam.Row(name=5)])
            _ = bad | "back" >> RowsToEvents().with_error_handler(rejects)
        assert_that(back, equal_to([make_formatter("json").format(decode_json(line)) for line in lines]))
        reasons = rejects.output() | beam.Map(lambda row: (row.stage, row.errorMessage))
        assert_that(reasons, equal_to([("decode", "'name' holds text, found int (byte 0)")]), label="bad rows")


def test_rejects() -> None:
    """A reject's row has its names of JSON, and the same values."""
    import json

    reject: Reject = make_reject(
        "deliver", b"\xff", "why", metric="m", exporter="e", attempts=2, http_status=503, attributes=[("k", "v")]
    )
    row = reject_to_row(reject)
    written = json.loads(reject_to_json(reject))
    assert list(written) == list(row._fields)
    for name in row._fields:
        if name not in {"payloadBytes", "attributes"}:
            assert getattr(row, name) == written[name]
    assert row.payloadBytes == b"\xff"
    assert [tuple(each) for each in row.attributes] == [("k", "v")]
    coder = registry.get_coder(RejectRow)
    assert coder.decode(coder.encode(row)) == row


def test_a_line_of_an_export() -> None:
    """The types that an exported line implies are columns."""
    row = event_to_row(decode_json(LINE))
    assert row.fields is not None
    assert [(f.key, f.str, f.int, f.ip, f.strlist) for f in row.fields] == [
        ("user", "u", None, None, None),
        ("net_in_bytes", None, 5, None, None),
        ("remote_ip", None, None, "192.0.2.1", None),
        ("reason_code", None, None, None, ["x", "y"]),
    ]
    assert encode_json(event_from_row(row)) == LINE
