"""Avro records: everything survives, and records of others are checked."""

import io

import fastavro
import pytest
from hypothesis import given

from dovebeam.transforms.codecs import AVRO_SCHEMA, event_from_avro, event_to_avro
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event, make_event
from support.strategies import events

SCHEMA = fastavro.parse_schema(dict(AVRO_SCHEMA))


@given(events())
def test_events_survive_avro(event: Event) -> None:
    """decode(encode(e)) is e, through the bytes of a real Avro writer, for events of every shape and type."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, SCHEMA, event_to_avro(event))
    buffer.seek(0)
    assert event_from_avro(fastavro.schemaless_reader(buffer, SCHEMA, None)) == event


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "expected a record"),
        ({"name": 5}, "'name' holds text"),
        ({"start_time_usec": "5"}, "'start_time_usec' holds a 64-bit integer"),
        ({"start_time_usec": 2**63}, "'start_time_usec' holds a 64-bit integer"),
        ({"start_time_usec": True}, "'start_time_usec' holds a 64-bit integer"),
        ({"categories": "a"}, "'categories' holds a list"),
        ({"log_type": "loud"}, "unknown log type 'loud'"),
        ({"fields": {}}, "'fields' is a list"),
        ({"fields": [5]}, "a field is a record"),
        ({"fields": [{"str": "a"}]}, "'key' holds text"),
        ({"fields": [{"key": "a"}]}, "exactly one type, found 0"),
        ({"fields": [{"key": "a", "str": "x", "int": 1}]}, "exactly one type, found 2"),
        ({"fields": [{"key": "a", "ip": "1.2.3"}]}, "not an IP address"),
        ({"fields": [{"key": "a", "int": 1}, {"key": "a", "int": 1}]}, "occurs twice"),
    ],
)
def test_bad_records(record: object, reason: str) -> None:
    """A record of another shape is a DecodeError with a reason."""
    with pytest.raises(DecodeError, match=reason):
        event_from_avro(record)  # type: ignore[arg-type]


def test_an_empty_record_is_an_empty_event() -> None:
    """Members that are missing are absent parts."""
    assert event_from_avro({}) == make_event()
