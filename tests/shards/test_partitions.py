"""Hours of events, as text, as directories, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.shards.archive import HourPartition, HourRouter, partition_span

HOUR = 3_600_000_000
YEARS_1_TO_9999 = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


def test_hours() -> None:
    """The end time decides, else the start time; no time and impossible times have no hour."""
    route = HourRouter().route
    assert route(make_event("x", start_time=0, end_time=HOUR)) == "1970-01-01T01Z"
    assert route(make_event("x", start_time=HOUR - 1)) == "1970-01-01T00Z"
    assert route(make_event("x")) == ""
    assert route(make_event("x", end_time=2**62)) == ""


@pytest.mark.parametrize(
    ("times", "path"),
    [
        ({"end_time": 1_795_335_542_467_330}, "date=2026-11-22/hour=08/events.avro"),
        ({"start_time": -1}, "date=1969-12-31/hour=23/events.avro"),
        ({"end_time": -62_135_596_800_000_000}, "date=0001-01-01/hour=00/events.avro"),
        ({}, "date=none/hour=none/events.avro"),
        ({"end_time": 2**62}, "date=none/hour=none/events.avro"),
    ],
)
def test_paths(times: dict[str, int], path: str) -> None:
    """Directories as other tools read partitions."""
    assert HourPartition().route(make_event("x", **times)) == path


@given(YEARS_1_TO_9999)
def test_a_partition_holds_its_events(usec: int) -> None:
    """The span of the directory that an event is put into contains its time."""
    span = partition_span(HourPartition().route(make_event("x", end_time=usec)))
    assert span is not None
    assert span[0] <= usec < span[1] == span[0] + HOUR


@pytest.mark.parametrize(
    "name",
    [
        "events.avro",
        "date=none/hour=none/events.avro",
        "date=2026-13-01/hour=00/e.avro",
        "date=2026-11-22/hour=24/e.avro",
        "xdate=2026-11-22/hour=08/e.avro",
        "date=2026-11-22/hour=08",
    ],
)
def test_names_that_tell_no_time(name: str) -> None:
    """They are never skipped."""
    assert partition_span(name) is None
