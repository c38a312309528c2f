"""From events to paths."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.drivers import FileDriver, RoutingError
from dovebeam.transforms.drivers.file.routing import PathRouter, window_start_secs
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from support.oracle.corpus import corpus_lines

TIME = 1_560_940_705_424_812  # 2019-06-19T10:38:25, a Wednesday


def event(**fields: Any) -> Event:
    """An event with a time and these fields."""
    return make_event("login", hostname="mx1", fields=fields, start_time=TIME - 1, end_time=TIME)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%Y/%m/%d/{user}.json", "2019/06/19/joe@x.org.json"),
        ("%Y-%j", "2019-170"),
        ("%Y%m%dT%H%M%S", "20190619T103825"),
        ("%G-W%V-%u", "2019-W25-3"),
        ("{event}@{hostname}", "login@mx1"),
        ("{size}/{ip}/{when}/{list}", "%2D5/2001%3Adb8%3A%3A1/1970-01-01T00%3A00%3A00.000001Z/a%2Cb"),
        ("{evil}/x", "%2E%2E%2F..%2Fetc/x"),
        ("{evil}{empty}.json", "%2E%2E%2F..%2Fetc%.json"),
        ("same.json", "same.json"),
    ],
)
def test_paths(template: str, expected: str) -> None:
    """Times in UTC, parts and fields of every type, each value within one name."""
    made = event(
        user="joe@x.org",
        size=-5,
        ip=IPAddress("2001:db8::1"),
        when=Timestamp(1),
        list=["a", "b"],
        evil="../../etc",
        empty="",
    )
    assert PathRouter(template).route(made) == expected


@pytest.mark.parametrize("template", ["%Y/%m/%d/%H/%M/%S", "%Y-%j", "%G-%V-%u"])
@given(usec=st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_times_are_those_of_strftime(template: str, usec: int) -> None:
    """Every time has the name that strftime gives it, with four digits of the year, whatever was asked before."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=usec)
    iso_year = f"{moment.isocalendar().year:04d}"
    expected = moment.strftime(template.replace("%Y", f"{moment.year:04d}").replace("%G", iso_year))
    assert PathRouter(template).route(make_event("x", end_time=usec)) == expected


@pytest.mark.parametrize(
    ("path", "template", "interval_secs", "expected"),
    [
        ("/log/events.json", "", 3600, "events-20190619T100000Z.json"),
        ("/log/events.json.gz", "", 60, "events-20190619T103800Z.json.gz"),
        ("/log/events", "", 86_400, "events-20190619T000000Z"),
        ("/log/events.json", "", 604_800, "events-20190617T000000Z.json"),
        ("/log", "%Y/{user}.json", 3600, "2019/a.b-20190619T100000Z.json"),
        ("/log", "%Y/{user}", 3600, "2019/a.b-20190619T100000Z"),
    ],
)
def test_windows(path: str, template: str, interval_secs: int, expected: str) -> None:
    """The window's start is in the name, before the suffix that the configuration gave it."""
    driver = FileDriver(path, file_path_template=template, file_rotate_interval_msec=interval_secs * 1000)
    router = driver.router()
    assert router is not None
    assert router.route(event(user="a.b")) == expected


@given(st.integers(-(10**11), 10**11), st.integers(1, 10**7))
def test_windows_hold_their_time(seconds: int, length: int) -> None:
    """Windows do not overlap, and each time is in its own; weeks begin on Monday."""
    start = window_start_secs(seconds, length)
    assert start <= seconds < start + length
    assert window_start_secs(start, length) == start
    assert (window_start_secs(seconds, 604_800) // 86_400 + 3) % 7 == 0


def test_start_time_stands_in() -> None:
    """An event without an end time is filed by its start time."""
    assert PathRouter("%Y").route(make_event("x", start_time=TIME)) == "2019"


@pytest.mark.parametrize(
    ("router", "made", "reason"),
    [
        (PathRouter("%Y"), make_event("x"), "neither an end_time nor a start_time"),
        (PathRouter("%Y"), make_event("x", end_time=2**62), "not in the years 1 to 9999"),
        (PathRouter("x", is_literal=True, window_secs=60), make_event("x"), "needs a time"),
        (PathRouter("{user}"), make_event("x"), r"needs \{user\}, which the event does not have"),
        (PathRouter("{event}"), make_event(None), r"needs \{event\}"),
        (PathRouter("{hostname}"), make_event("x"), r"needs \{hostname\}"),
        (PathRouter("%Y", missing="fallback"), make_event("x"), "needs a time"),
    ],
)
def test_no_place(router: PathRouter, made: Event, reason: str) -> None:
    """An event that has not what its path needs is refused with the reason."""
    with pytest.raises(RoutingError, match=reason):
        router.route(made)


def test_fallback() -> None:
    """A word stands for what is missing, encoded as a value would be."""
    router = PathRouter("{user}/{event}", missing="fallback", fallback="no/body")
    assert router.route(make_event(None, fields={"user": "joe"})) == "joe/no%2Fbody"
    assert router.route(make_event("x")) == "no%2Fbody/x"


@given(st.text(max_size=2000), st.text(max_size=20))
def test_no_value_leads_out(user: str, mailbox: str) -> None:
    """Whatever the values are, there are as many names as the template has, and none is special or too long."""
    path = PathRouter("{user}/{mailbox}.json", window_secs=60).route(event(user=user, mailbox=mailbox))
    names = path.split("/")
    assert len(names) == 2
    for name in names:
        assert name not in {"", ".", ".."}
        assert not name.startswith((".", "-"))
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 200


def test_lines_of_a_real_export() -> None:
    """Every event of a real Dovecot has the path that its text says, and pickling changes nothing."""
    router = PathRouter("%Y-%m-%d/{event}/{user}.json", missing="fallback", fallback="nobody")
    again = pickle.loads(pickle.dumps(router))
    seen = set()
    for line in corpus_lines("events.json.gz")[:2000]:
        decoded = decode_json(line)
        path = router.route(decoded)
        assert again.route(decoded) == path
        day, _, file = path.split("/")
        assert decoded.end_time is not None
        assert day == f"{dt.datetime.fromtimestamp(decoded.end_time / 1e6, dt.UTC):%Y-%m-%d}"
        seen.add(file)
    assert "nobody.json" in seen
    assert len(seen) > 1


def test_as_many_times_as_there_are() -> None:
    """A router that sees ever new times keeps no more of them than it needs."""
    from dovebeam.transforms.drivers.file import routing

    router = PathRouter("%Y/%m/%d/%H/%M/%S.json")
    for second in range(1000):
        router.route(make_event("x", end_time=second * 1_000_000))
    assert len(routing._compiled(router)._by_time) <= 64
