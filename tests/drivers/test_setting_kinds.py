"""Values of every type: what Dovecot accepts, and its message for the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.setting import (
    UINT64_MAX,
    UINT_MAX,
    ValueTypeError,
    parse_bool,
    parse_enum,
    parse_size,
    parse_time_msec,
    parse_time_sec,
    parse_uint,
    parse_uint64,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_bool, "yes", True),
        (parse_bool, "Y", True),
        (parse_bool, "1", True),
        (parse_bool, "No", False),
        (parse_uint, "0", 0),
        (parse_uint, "007", 7),
        (parse_uint, "4294967295", UINT_MAX),
        (parse_uint, "unlimited", UINT_MAX),
        (parse_uint, "infinite", UINT_MAX),
        (parse_uint64, "18446744073709551615", UINT64_MAX),
        (parse_time_msec, "0", 0),
        (parse_time_msec, "000", 0),
        (parse_time_msec, "0s", 0),
        (parse_time_msec, "250ms", 250),
        (parse_time_msec, "250 ms", 250),
        (parse_time_msec, "500msec", 500),
        (parse_time_msec, "1mil", 1),
        (parse_time_msec, "1m", 60_000),
        (parse_time_msec, "1mi", 60_000),
        (parse_time_msec, "1 min", 60_000),
        (parse_time_msec, "2 S", 2000),
        (parse_time_msec, "2secs", 2000),
        (parse_time_msec, "2 second", 2000),
        (parse_time_msec, "3h", 10_800_000),
        (parse_time_msec, "1 DAYS", 86_400_000),
        (parse_time_msec, "7w", 4_233_600_000),
        (parse_time_msec, "infinite", None),
        (parse_time_msec, "unlimited", None),
        (parse_time_sec, "2000ms", 2000),
        (parse_time_sec, "8w", 4_838_400_000),
        (parse_size, "0", 0),
        (parse_size, "12", 12),
        (parse_size, "12 B", 12),
        (parse_size, "64kB", 65536),
        (parse_size, "200 k", 204800),
        (parse_size, "1MiB", 1 << 20),
        (parse_size, "2g", 2 << 30),
        (parse_size, "1TI", 1 << 40),
        (parse_size, "unlimited", None),
    ],
)
def test_accepted(parse: Callable[[str], object], text: str, value: object) -> None:
    """Units, prefixes of units, letter cases and limits."""
    result = parse(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        *(
            (parse_bool, text, f"Invalid boolean value: {text} (use yes or no)")
            for text in ("true", "false", "on", "off", "n", "0", "", "yes ")
        ),
        (parse_uint, "1k", "Invalid number 1k: Not a valid number"),
        (parse_uint, "", "Invalid number : Not a valid number"),
        (parse_uint, "+1", "Invalid number +1: Not a valid number"),
        (parse_uint, "-1", "Invalid number -1: Number too small"),
        (parse_uint, "4294967296", "Invalid number 4294967296: Number too large"),
        (parse_uint, "Unlimited", "Invalid number Unlimited: Not a valid number"),
        (parse_uint, "1\n", "Invalid number 1\n: Not a valid number"),
        (parse_uint, "\u0661", "Invalid number \u0661: Not a valid number"),
        (parse_uint64, "unlimited", "Invalid number unlimited: Not a valid number"),
        (parse_uint64, "18446744073709551616", "Invalid number 18446744073709551616: Number too large"),
        (parse_time_msec, "250", "Time interval '250' is missing units (add e.g. 's' for seconds)"),
        (parse_time_msec, "8w", "Time interval is too large: 8w"),
        (parse_time_sec, "1ms", "Milliseconds not supported for this setting: 1ms"),
        *(
            (parse_time_msec, text, f"Invalid time interval: {text}")
            for text in ("fast", "-1s", "1.5s", "", "1\ts", "1s x", "1 fortnight", "1s\n", "1msx", "INFINITE")
        ),
        *(
            (parse_size, text, f"Invalid size: {text}")
            for text in ("", "k", "1x", "1kk", "-1", "1.5k", "1 bk", "1\n", "1k\u0131", "1\u212a")
        ),
        (parse_size, "99999999T", "Size is too large: 99999999T"),
        (parse_size, "18446744073709551616", "Invalid size: 18446744073709551616"),
        (parse_time_msec, "18446744073709551616", "Invalid time interval: 18446744073709551616"),
        (parse_time_msec, "18446744073709551615s", "Time interval is too large: 18446744073709551615s"),
    ],
)
def test_refused(parse: Callable[[str], object], text: str, message: str) -> None:
    """Dovecot's message, and advice of our own."""
    with pytest.raises(ValueTypeError) as caught:
        parse(text)
    assert caught.value.message == message
    assert caught.value.advice


def test_enum() -> None:
    """Exactly one of the words, in their case."""
    assert parse_enum("log", ("log", "file")) == "log"
    for text in ("Log", "", " log", "kafka"):
        with pytest.raises(ValueTypeError) as caught:
            parse_enum(text, ("log", "file"))
        assert caught.value.message == f"Invalid value: {text}"


@given(st.integers(0, UINT_MAX))
def test_milliseconds_are_kept(msec: int) -> None:
    """Every time that fits is read exactly."""
    assert parse_time_msec(f"{msec} ms") == msec


@given(st.text(max_size=30))
def test_parsers_only_refuse(text: str) -> None:
    """No text makes a parser fail in another way."""
    for parse in (parse_bool, parse_uint, parse_uint64, parse_time_msec, parse_time_sec, parse_size):
        try:
            parse(text)
        except ValueTypeError as error:
            assert error.message


def test_long_numbers_are_cheap() -> None:
    """A number of a million digits is refused at once."""
    for parse, unit in ((parse_uint64, ""), (parse_time_msec, "s"), (parse_size, "")):
        with pytest.raises(ValueTypeError, match="Invalid"):
            parse("9" * 1_000_000 + unit)
