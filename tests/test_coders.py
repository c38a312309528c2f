"""The coders that Beam finds for events, rejects, batches of payloads and blocks."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms.codecs import decode_json, encode_json
from dovebeam.transforms.events.event import CompleteEvent, Event, ExportedEvent, make_event
from dovebeam.transforms.events.reject import Reject, make_reject, without_sending
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.sources import Block, MessageOrigin
from support.strategies import events, recoverable_events, texts, typed_values

wide_texts = st.text(max_size=12) | texts
wild_events = st.builds(
    make_event,
    st.none() | wide_texts,
    fields=st.none() | st.dictionaries(wide_texts, typed_values(wide_texts), max_size=4),
    start_time=st.none() | st.integers(-(2**80), 2**80),
)
pairs = st.lists(st.tuples(wide_texts, wide_texts), max_size=3)
rejects = st.builds(
    make_reject,
    st.sampled_from(["decode", "route", "deliver"]),
    st.binary(max_size=40),
    wide_texts,
    metric=wide_texts,
    exporter=texts,
    attempts=st.integers(0, 9),
    http_status=st.none() | st.integers(100, 599),
    source_uri=wide_texts,
    source_offset=st.none() | st.integers(0, 2**70),
    attributes=pairs,
    truncated=st.booleans(),
) | st.builds(without_sending, st.just(make_reject("deliver", b"x", "refused")), texts)
origins = st.builds(MessageOrigin, st.integers(-9, 9), st.integers(0, 2**63), wide_texts, attributes=pairs.map(tuple))
batches = st.builds(
    PayloadBatch,
    st.lists(st.binary(max_size=20), max_size=3),
    st.lists(wide_texts, max_size=3),
    st.lists(st.none() | st.integers(0, 2**70), max_size=3),
    wide_texts,
    st.lists(wide_texts, max_size=3),
    st.lists(rejects, max_size=2),
    st.lists(origins, max_size=2).map(tuple),
)
blocks = st.builds(
    Block,
    wide_texts,
    st.integers(0, 2**63),
    st.binary(max_size=40),
    st.sampled_from(["json", "tab-text", "avro"]),
    records=st.integers(0, 5),
    messages=st.lists(origins, max_size=2).map(tuple),
    damage=wide_texts,
)


def copy_of(value: Any) -> Any:
    """The same value, made of other objects."""
    return pickle.loads(pickle.dumps(value))


@given(st.one_of(events(), wild_events, rejects, batches, blocks))
def test_round_trip(value: Any) -> None:
    """What a step gets is what the step before gave, and equal elements made elsewhere have the same bytes."""
    coder = registry.get_coder(type(value))
    encoded = coder.encode(value)
    found = coder.decode(encoded)
    assert found == value
    assert coder.encode(found) == encoded == coder.encode(copy_of(value))


@given(events())
def test_what_was_not_exported_stays_so(event: Event) -> None:
    """Categories and fields that are missing do not become empty ones."""
    coder = registry.get_coder(Event)
    found = coder.decode(coder.encode(event))
    assert found.exported_categories == event.exported_categories
    assert found.raw_fields == event.raw_fields
    assert encode_json(found) == encode_json(event)


@given(recoverable_events())
def test_an_event_of_a_line_has_the_bytes_of_the_event_that_was_built(event: Event) -> None:
    """Equal events are one key, whichever class holds them."""
    line = encode_json(event)
    read = decode_json(line)
    coder = registry.get_coder(type(read))
    assert coder == registry.get_coder(Event)
    assert coder.encode(read) == coder.encode(event)
    assert encode_json(coder.decode(coder.encode(read))) == line


@pytest.mark.parametrize("kind", [Event, ExportedEvent, CompleteEvent, Reject, PayloadBatch, Block])
def test_what_beam_asks(kind: type) -> None:
    """Each coder is found by its type, travels, is equal to its like, and can encode keys."""
    coder = registry.get_coder(kind)
    assert coder.is_deterministic()
    assert coder.as_deterministic_coder("group") == coder == copy_of(coder)
    assert hash(coder) == hash(copy_of(coder))
    assert issubclass(kind, coder.to_type_hint())
    assert coder != registry.get_coder(bytes)


@pytest.mark.parametrize(
    "value",
    [
        make_event("login", fields={f"field{n}": "v" * 20 for n in range(12)}, categories=["a"], hostname="h"),
        make_reject("deliver", b"payload" * 1000, "refused"),
        PayloadBatch([b"x" * 500] * 100, ["metric"] * 100, list(range(100)), "file"),
        Block("gs://mail/x", 1 << 40, bytes(range(256)) * 256, "json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_are_estimated_without_encoding(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate is within a factor of two, and what Beam's runner asks for does not encode."""
    coder = registry.get_coder(type(value))
    size = len(coder.encode(value))

    def fail(*_args: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(type(coder), "encode", fail)
    assert size / 2 < coder.estimate_size(value) < size * 2
    assert coder.get_impl().get_estimated_size_and_observables(value) == (coder.estimate_size(value), [])


def test_events_and_rejects_are_keys() -> None:
    """GroupByKey puts equal ones together, also an event of a line and one that was built."""
    event_pair, reject_pair = tuple[Event, int], tuple[Reject, int]
    built = make_event("login", fields={"user": "ann"})
    read = decode_json(encode_json(built))
    reject = make_reject("decode", b"x", "not an event")
    with beam.Pipeline("DirectRunner") as pipeline:
        events_by_key = (
            pipeline
            | "events" >> beam.Create([(built, 1), (read, 2), (make_event("other"), 3)]).with_output_types(event_pair)
            | "group events" >> beam.GroupByKey()
            | beam.MapTuple(lambda event, numbers: (event.name, sorted(numbers)))
        )
        assert_that(events_by_key, equal_to([("login", [1, 2]), ("other", [3])]))
        rejects_by_key = (
            pipeline
            | "rejects" >> beam.Create([(reject, 1), (copy_of(reject), 2)]).with_output_types(reject_pair)
            | "group rejects" >> beam.GroupByKey()
            | "sizes" >> beam.MapTuple(lambda key, numbers: (key.payload_bytes, sorted(numbers)))
        )
        assert_that(rejects_by_key, equal_to([(b"x", [1, 2])]), label="rejects are keys")


def test_coders_come_with_the_transforms() -> None:
    """Whoever imports a transform has them; whoever imports only the event has neither them nor Beam."""
    code = "from dovebeam.transforms import {}; import sys; print('dovebeam.transforms.coders' in sys.modules)"
    for name, has_them in (
        ("Event, Reject, PayloadBatch, Block", False),
        ("MatchMetric", True),
        ("ReadFromFiles", True),
    ):
        done = subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(has_them), name
