"""The event: building, reading, comparing, pickling."""

import pickle

import pytest
from hypothesis import given

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.events.event import Event, ExportedEvent, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from support.strategies import events


def test_absent_parts() -> None:
    """What an event does not have reads as None or empty, and has no source."""
    event = make_event()
    assert (event.name, event.hostname, event.start_time, event.end_time) == (None, None, None, None)
    assert (event.categories, event.fields, event.duration, event.source, event.get("x")) == ([], {}, 0, None, None)


@given(events())
def test_time(event: Event) -> None:
    """The end time, or else the start time; of an event from an export it is the same."""
    assert event.time == (event.start_time if event.end_time is None else event.end_time)


@pytest.mark.parametrize(
    ("start", "end", "time"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 7), (5, 0, 0)]
)
def test_times(start: int | None, end: int | None, time: int | None) -> None:
    """An end at 1970 is an end, too."""
    assert make_event(start_time=start, end_time=end).time == time


def test_unnamed_is_not_the_empty_name() -> None:
    """The name '' is a name."""
    assert make_event("").name == ""
    assert make_event("") != make_event()


def test_exported_fields_recover_their_types() -> None:
    """A decoded line shows addresses and timestamps as such, and leaves other strings alone."""
    event = decode_json(
        b'{"event":"imap_command_finished","fields":{"remote_ip":"10.0.0.1","user":"10.0.0.1",'
        b'"last_run_time":"1970-01-01T00:00:00.000005Z","reason_code":["a"],"n":1,"duration":7}}'
    )
    assert type(event) is ExportedEvent
    assert event.fields == {
        "remote_ip": IPAddress("10.0.0.1"),
        "user": "10.0.0.1",
        "last_run_time": Timestamp(5),
        "reason_code": ["a"],
        "n": 1,
        "duration": 7,
    }
    assert event.get("remote_ip") == IPAddress("10.0.0.1")
    assert event.duration == 7


@pytest.mark.parametrize("value", ["7", Timestamp(7), ["7"]])
def test_duration_is_an_integer_field(value: object) -> None:
    """A field called duration of another type is not the duration."""
    assert make_event("x", fields={"duration": value}).duration == 0


def test_order_of_fields_counts() -> None:
    """Two events whose fields stand in another order export differently and are not equal."""
    assert make_event("x", fields={"a": 1, "b": 2}) != make_event("x", fields={"b": 2, "a": 1})


@given(events())
def test_pickles(event: Event) -> None:
    """A pickled event is the same event."""
    copy = pickle.loads(pickle.dumps(event))
    assert copy == event
    assert not (copy != event)


def test_compares_only_with_events() -> None:
    """An event is not equal to anything else and has no hash."""
    assert make_event("x") != "x"
    with pytest.raises(TypeError, match="unhashable"):
        hash(make_event("x"))
