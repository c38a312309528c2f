"""Avro containers as archives have them: what any reader makes of them, and times out of records."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import AVRO_CODECS, AvroCodec, decode_json, encode_avro, event_from_avro, time_of_avro
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.shards.archive import AvroFraming
from dovebeam.transforms.sources import FileStream, read_avro_blocks
from support.oracle.corpus import corpus_lines
from support.strategies import events

EVENTS = [decode_json(line) for line in corpus_lines("events.json.gz")[:700]]


def container(codec: AvroCodec, *blocks: list[Event]) -> bytes:
    """A file of some blocks."""
    framing = AvroFraming(codec)
    return framing.head() + b"".join(framing.frame([encode_avro(event) for event in block]) for block in blocks)


@pytest.mark.parametrize("codec", AVRO_CODECS)
def test_dovebeam_reads_it_back(codec: AvroCodec) -> None:
    """The events with their types, in order, whatever the compression."""
    data = container(codec, EVENTS[:300], EVENTS[300:])
    blocks = list(read_avro_blocks(FileStream(io.BytesIO(data), "file")))
    assert [block.records for block in blocks] == [300, 400]
    assert [event for block in blocks for event in decode_block(block).decoded.events] == EVENTS


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_others_read_it(codec: AvroCodec) -> None:
    """fastavro, which knows nothing of dovebeam, finds the same events."""
    file = io.BytesIO(container(codec, EVENTS))
    assert [event_from_avro(record) for record in fastavro.reader(file)] == EVENTS  # type: ignore[arg-type]


def test_a_file_without_events() -> None:
    """Only the head: a whole file, with nothing in it."""
    assert list(fastavro.reader(io.BytesIO(container("deflate")))) == []


def test_the_same_events_are_the_same_bytes() -> None:
    """Nothing is drawn at random."""
    assert container("zstandard", EVENTS) == container("zstandard", EVENTS)


@given(events())
def test_times_out_of_records(event: Event) -> None:
    """The end time, or else the start time, of any event."""
    expected = event.start_time if event.end_time is None else event.end_time
    assert time_of_avro(encode_avro(event)) == expected


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_the_span_of_a_block(times: list[int]) -> None:
    """The earliest and the latest time; unknown as soon as one event has none, since that one belongs to no range."""
    records = [encode_avro(make_event("x", end_time=time)) for time in times]
    assert AvroFraming().span(records) == (min(times), max(times))
    assert AvroFraming().span([*records, encode_avro(make_event("x"))]) is None
