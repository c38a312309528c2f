"""Laws of the decoders: whatever an input is, it is an event or a DecodeError, and all ways to decode it agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import (
    decode_json,
    decode_json_block,
    decode_tab,
    encode_json,
    encode_tab,
    event_from_avro,
)
from dovebeam.transforms.codecs.json_glimpse import Glimpser
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.codecs.lines import UNEXPECTED
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event

digits = st.integers(0, 10**25).map(str) | st.integers(1, 6000).map(lambda count: "9" * count)
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(".{}".format),
    st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), digits),
)
PLACES = [
    '{{"event":"a","start_time":{}}}',
    '{{"event":"a","end_time":{},"fields":{{}}}}',
    '{{"event":"a","fields":{{"x":{}}}}}',
    '{{"event":"a","fields":{{"last_run_time":{},"duration":1}}}}',
    '{{"event":"a","fields":{{"x":["y",{}]}}}}',
    '{{"event":"a","fields":{{"x":{{"y":{}}}}}}}',
    '{{"event":{}}}',
    '{{"categories":[{}]}}',
    '{{"x":{}}}',
    "[{}]",
    "{}",
]
TAB_PLACES = ["start_time:{}", "field:last_run_time={}", "field:duration={}", "field:remote_ip={}", "{}"]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
avro_values = json_values | st.binary(max_size=5) | st.just(10**5000) | st.just("\ud800")


def answer(decode: Callable[[Any], Event], data: Any) -> Event | str:
    """The event, or why there is none; any other exception is a failure."""
    try:
        return decode(data)
    except DecodeError as error:
        assert UNEXPECTED not in error.reason
        return str(error)


def check_json(line: bytes) -> None:
    """All ways agree, in a block with other lines, too, and no glimpse of the line raises anything."""
    found = answer(decode_json, line)
    assert found == answer(scan_event, line)
    block = decode_json_block(b'{"event":"b"}\n' + line + b'\n{"event":"b"}\n')
    if isinstance(found, Event):
        assert (list(block.events)[1], block.bad_lines) == (found, [])
        for time_format in ("rfc3339", "unix"):
            encode_json(found, time_format=time_format)
            encode_tab(found, time_format=time_format)
    else:
        assert [str(bad.error) for bad in block.bad_lines] == [found]
    Glimpser(["x", "last_run_time"]).glimpse(line)


@given(numbers, st.sampled_from(PLACES))
def test_any_number_anywhere(number: str, place: str) -> None:
    """A number of any size, fraction and exponent is a value, a time or a reject, wherever it stands in JSON."""
    check_json(place.format(number).encode())


@given(numbers, st.sampled_from(TAB_PLACES))
def test_any_number_in_tab_text(number: str, place: str) -> None:
    """The same in tab-text."""
    answer(decode_tab, place.format(number).encode())


@given(st.dictionaries(st.sampled_from(["event", "hostname", "start_time", "categories", "fields", "x"]), json_values))
def test_any_json_object(members: dict[str, Any]) -> None:
    """An object with members of any type is an event or a reject."""
    check_json(json.dumps(members).encode())


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda data: b"event:a\tfield:" + data))
def test_any_bytes_as_tab_text(line: bytes) -> None:
    """Any line is an event or a reject."""
    answer(decode_tab, line.replace(b"\n", b" "))


@given(
    st.dictionaries(
        st.sampled_from(["name", "start_time_usec", "categories", "log_type", "source_line"]), avro_values, max_size=3
    ),
    st.none() | avro_values,
    st.dictionaries(st.sampled_from(["key", "str", "int", "time_usec", "ip", "strlist"]), avro_values, max_size=3),
)
def test_any_avro_record(record: dict[str, Any], fields: Any, field: dict[str, Any]) -> None:
    """A record with members of any type is an event or a reject."""
    answer(event_from_avro, {**record, "fields": fields})
    answer(event_from_avro, {**record, "fields": [field]})
    answer(event_from_avro, fields)


def nested(depth: int) -> Any:
    """A list in a list in a list, deeper than Python prints."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("member", ["name", "start_time_usec", "log_type", "source_line"])
@pytest.mark.parametrize("value", [10**5000, -(10**5000), nested(100_000)], ids=["large", "negative", "deep"])
def test_values_that_python_does_not_print(member: str, value: Any) -> None:
    """A message about a value never fails over the value's own text."""
    assert isinstance(answer(event_from_avro, {member: value}), str)


@pytest.mark.parametrize("opening", [b'{"x":', b'{"fields":', b"[", b'{"event":[', b'{"fields":{"x":'])
def test_nesting_without_end(opening: bytes) -> None:
    """However deep an input is nested, it is a reject."""
    assert isinstance(answer(decode_json, opening * 50_000), str)
    (bad,) = decode_json_block(opening * 50_000).bad_lines
    assert UNEXPECTED not in bad.error.reason
