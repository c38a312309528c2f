"""Avro's binary encoding of events: the bytes that fastavro writes, and what it reads back."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AVRO_SCHEMA, decode_json, event_from_avro, event_to_avro
from dovebeam.transforms.codecs.avro_writer import encode_avro, encode_long
from dovebeam.transforms.events.event import Event, make_event
from support.oracle.corpus import corpus_lines
from support.strategies import events

SCHEMA = fastavro.parse_schema(dict(AVRO_SCHEMA))


def by_fastavro(event: Event) -> bytes:
    """What the library writes."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, event_to_avro(event))
    return out.getvalue()


@given(events())
def test_any_event(event: Event) -> None:
    """The same bytes as fastavro's, which reads the same event back."""
    encoded = encode_avro(event)
    assert encoded == by_fastavro(event)
    read = fastavro.schemaless_reader(io.BytesIO(encoded), SCHEMA, None, handle_unicode_errors="surrogateescape")
    assert event_from_avro(read) == event  # type: ignore[arg-type]  # a record, as the schema says


def test_exported_events() -> None:
    """Events of the corpus, whose types are recovered on the way."""
    for line in corpus_lines("events.json.gz")[::40]:
        event = decode_json(line)
        assert encode_avro(event) == by_fastavro(event)


@pytest.mark.parametrize(
    "event",
    [
        make_event(),
        make_event("", fields={}, categories=[], hostname=""),
        make_event("x", log_type="error", source=("file.c", 0)),
        make_event("x", fields={"long": "a" * 5000, "\udcff": "\udcff", "many": [str(n) for n in range(300)]}),
    ],
    ids=["nothing", "empty", "log and source", "long and not UTF-8"],
)
def test_edges(event: Event) -> None:
    """Absent parts, empty ones, and those beyond the tables."""
    assert encode_avro(event) == by_fastavro(event)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 9 * 10**21])
def test_numbers_that_do_not_fit(number: int) -> None:
    """They are refused, since a reader would take them for others; so is a time of an event."""
    for encode in (lambda: encode_long(number), lambda: encode_avro(make_event("x", start_time=number))):
        with pytest.raises(OverflowError):
            encode()


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers(number: int) -> None:
    """Every number of 64 bits, by Avro's own rule."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, number)  # type: ignore[arg-type]  # any datum
    assert encode_long(number) == out.getvalue()
