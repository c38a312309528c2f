"""Texts of timestamps, both ways."""

import datetime as dt

import pytest
from hypothesis import given

from dovebeam.transforms.events.values import format_rfc3339, format_unix, parse_rfc3339, parse_unix, usec_of_datetime
from support.strategies import usecs

TEXTS = [
    (1_600_000_000_000_005, "2020-09-13T12:26:40.000005Z", "1600000000.000005"),
    (0, "1970-01-01T00:00:00.000000Z", "0.000000"),
    (-1, "1969-12-31T23:59:59.999999Z", "-1.999999"),
    (-4_999_990, "1969-12-31T23:59:55.000010Z", "-5.000010"),
    (253_402_300_800_000_000, "10000-01-01T00:00:00.000000Z", "253402300800.000000"),
    (951_782_400_000_000, "2000-02-29T00:00:00.000000Z", "951782400.000000"),
    (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z", "-62135596800.000000"),
]


@pytest.mark.parametrize(("usec", "rfc3339", "unix"), TEXTS)
def test_both_texts(usec: int, rfc3339: str, unix: str) -> None:
    """A time has the texts that a real Dovecot writes, and is read back from them."""
    assert (format_rfc3339(usec), format_unix(usec)) == (rfc3339, unix)
    assert (parse_rfc3339(rfc3339), parse_unix(unix)) == (usec, usec)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020-09-13T12:26:40Z",
        "2020-09-13T12:26:40.5Z",
        "2020-09-13 12:26:40.000005Z",
        "2020-09-13T12:26:40.000005+00:00",
        "2020-02-30T00:00:00.000000Z",
        "2020-13-01T00:00:00.000000Z",
        "2020-01-01T24:00:00.000000Z",
        "02020-01-01T00:00:00.000000Z",
        "2020-09-13T12:26:40.000005Z\n",
        "٢٠٢٠-09-13T12:26:40.000005Z",
    ],
)
def test_only_dovecots_rfc3339_is_a_time(text: str) -> None:
    """Text that Dovecot would not have written for any time is not taken for one."""
    assert parse_rfc3339(text) is None


@pytest.mark.parametrize("text", ["", "1", "1.5", "01.000000", "-0.500000", "1.0000000", " 1.000000", "1e3", "1" * 40])
def test_only_dovecots_unix_time_is_a_time(text: str) -> None:
    """Unix time has signed whole seconds and exactly six digits."""
    assert parse_unix(text) is None


@given(usecs)
def test_times_survive_their_texts(usec: int) -> None:
    """parse(format(t)) is t in both formats, over all years."""
    assert parse_rfc3339(format_rfc3339(usec)) == usec
    assert parse_unix(format_unix(usec)) == usec


@given(usecs.filter(lambda usec: -(10**16) < usec < 10**17))
def test_rfc3339_agrees_with_datetime(usec: int) -> None:
    """Within the years of datetime the calendar is Python's own."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=usec)
    assert format_rfc3339(usec) == moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    assert usec_of_datetime(moment) == usec
