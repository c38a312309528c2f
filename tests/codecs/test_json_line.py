"""JSON lines: what decodes, what does not and where, one by one and in blocks."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json, decode_json_block, encode_json
from dovebeam.transforms.codecs.json_scan import scan_event
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import Catalogue
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import Timestamp
from support.strategies import recoverable_events, utf8_texts

GOOD = [
    (b"{}", make_event()),
    (b' { "event" : "a" } ', make_event("a")),
    (b'{"event":""}', make_event("")),
    (b'{"categories":[],"fields":{}}', make_event(categories=[], fields={})),
    (b'{"fields":{"a":9223372036854775807,"b":-9223372036854775808}}', make_event(fields={"a": 2**63 - 1, "b": -(2**63)})),
    (b'{"fields":{"a":"\\ud83d\\ude00\\u001F\\/","b":[],"c":["x","y"]}}', make_event(fields={"a": "😀\x1f/", "b": [], "c": ["x", "y"]})),
    (b'{"fields":{"a\\":\\"b":"\\":\\":"}}', make_event(fields={'a":"b': '":":'})),
    (b'{"start_time":"2020-09-13T12:26:40.000005Z"}', make_event(start_time=1_600_000_000_000_005)),
    (b'{"start_time":"2020-09-13T14:26:40.000005+02:00"}', make_event(start_time=1_600_000_000_000_005)),
    (b'{"start_time":"10000-01-01T00:00:00.000000Z"}', make_event(start_time=253_402_300_800_000_000)),
    (b'{"start_time":1600000000.000005}', make_event(start_time=1_600_000_000_000_005)),
    (b'{"start_time":-1.999999}', make_event(start_time=-1)),
    (b'{"start_time":1795335555.55014747}', make_event(start_time=1_795_335_555_550_147 + 1)),
    (b'{"start_time":253402300800.000001}', make_event(start_time=253_402_300_800_000_001)),
    (b'{"fields":{"t":-5.000010}}', make_event(fields={"t": Timestamp(-4_999_990)})),
    (b'{"fields":{"t":9007199254740993.000001}}', make_event(fields={"t": Timestamp(9007199254740993000001)})),
]  # fmt: skip

BAD = [
    (b"", 0, "empty"),
    (b"   ", 3, "empty"),
    (b"[1]", 0, "expected an object"),
    (b"null", 0, "expected an object"),
    (b"{", 1, "the line ends here"),
    (b'{"event"', 8, "expected ':'"),
    (b'{"event":"a"', 12, "torn"),
    (b'{"event":"a', 9, "has no end"),
    (b'{"event":"a\\"', 9, "has no end"),
    (b'{"event":"a"}{"event":"b"}', 13, "follows"),
    (b'{"event":"a",}', 13, "name of a member"),
    (b'{"event":null}', 9, "name of the event"),
    (b'{"evnt":"a"}', 1, "did you mean 'event'"),
    (b'{"log_type":"error"}', 1, "no member 'log_type'"),
    (b'{"event":"a","event":"a"}', 13, "occurs twice"),
    (b'{"event" :"a","event":"a"}', 14, "occurs twice"),
    (b'{"fields":{"a":1,"a":1}}', 17, "occurs twice"),
    (b'{"fields":{"a"\t:1,"a":1}}', 18, "occurs twice"),
    (b'{"fields":{"a":1,"\\u0061":1}}', 17, "occurs twice"),
    (b'{"fields":{"a":9223372036854775808}}', 15, "64 bits"),
    (b'{"fields":{"a":-9223372036854775809}}', 15, "64 bits"),
    (b'{"fields":{"a":' + b"9" * 10_000 + b"}}", 15, "64 bits"),
    (b'{"fields":{"a":NaN}}', 15, "a field holds"),
    (b'{"fields":{"a":-Infinity}}', 15, "expected a number"),
    (b'{"fields":{"a":true}}', 15, "a field holds"),
    (b'{"fields":{"a":null}}', 15, "a field holds"),
    (b'{"fields":{"a":{}}}', 15, "a field holds"),
    (b'{"fields":{"a":[1]}}', 16, "element of a list"),
    (b'{"fields":{"a":[["x"]]}}', 16, "element of a list"),
    (b'{"fields":[]}', 10, "expected an object"),
    (b'{"fields":{"a":1e400}}', 15, "out of range"),
    (b'{"fields":{"a":1e999999999}}', 15, "out of range"),
    (b'{"fields":{"a":1e9999999999999999999}}', 15, "out of range; a number with a fraction or an exponent is a"),
    (b'{"fields":{"a":-1E+9999999999999999999}}', 15, "out of range"),
    (b'{"start_time":1e9999999999999999999}', 14, "out of range"),
    (b'{"end_time":9' + b"0" * 5000 + b".5}", 12, "out of range"),
    (b'{"fields":{"a":-0.5}}', 15, "not a Unix time"),
    (b'{"categories":["a",1]}', 19, "a category"),
    (b'{"categories":"a"}', 14, "expected a list"),
    (b'{"start_time":"yesterday"}', 14, "not an RFC 3339 time"),
    (b'{"start_time":"2020-09-13T12:26:40"}', 14, "not an RFC 3339 time"),
    (b'{"start_time":[]}', 14, "expected a time"),
    (b'{"event":"a\xffb"}', 11, "not valid UTF-8"),
    (b'{"event":"a\xed\xa0\x80"}', 11, "not valid UTF-8"),
    (b'{"event":"a\x01"}', 11, "control character 0x01"),
    (b'{"event":"a\\x"}', 11, "unknown escape"),
    (b'{"event":"a\\ud800"}', 9, "surrogate"),
    (b"\xef\xbb\xbf{}", 0, "expected an object"),
    (b'{"x":' + b"[" * 100_000, 1, "no member 'x'"),
    (b'{"fields":{"a":' + b"[" * 100_000, 16, "element of a list"),
    (b"[" * 100_000, 0, "expected an object"),
    (b'{"fields":' * 100_000, 20, "a field holds"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "event"), GOOD)
def test_good_lines(line: bytes, event: Event) -> None:
    """What Dovecot writes, and white space between tokens, decodes; the exact scanner reads the same."""
    assert decode_json(line) == event
    assert scan_event(line) == event


@pytest.mark.parametrize(("line", "offset", "reason"), BAD)
def test_bad_lines(line: bytes, offset: int, reason: str) -> None:
    """Everything else is a DecodeError at the byte that is wrong, with a reason."""
    with pytest.raises(DecodeError, match=reason) as caught:
        decode_json(line)
    assert caught.value.offset == offset


def test_the_longest_line() -> None:
    """A line over the limit is refused by its length, without being read."""
    line = b'{"event":"' + b"a" * 100_000_000 + b'"}'
    tracemalloc.start()
    with pytest.raises(DecodeError, match="100000012 bytes, more than the limit of 16777216"):
        decode_json(line)
    with pytest.raises(DecodeError, match="limit of 10"):
        decode_json(line, max_bytes=10)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_user_types() -> None:
    """A catalogue of one's own gives the types of one's own fields."""
    event = decode_json(b'{"fields":{"at":"1970-01-01T00:00:00.000001Z"}}', catalogue=Catalogue({"at": "timestamp"}))
    assert event.fields == {"at": Timestamp(1)}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("time_format", ["rfc3339", "unix"])
@given(events=st.lists(recoverable_events(), max_size=5), last=st.booleans())
def test_blocks_equal_lines(end: bytes, time_format: str, events: list[Event], last: bool) -> None:
    """A block decodes to the events of its lines, with either line end and with or without the last."""
    lines = [encode_json(event, time_format=time_format) for event in events]
    block = end.join(lines) + (end if last else b"")
    decoded = decode_json_block(block)
    assert list(decoded.events) == events
    assert not decoded.bad_lines


def test_bad_lines_of_a_block() -> None:
    """A bad line is set apart with its bytes and its place; its neighbours are not harmed."""
    block = b'{"event":"a"}\n[1]\n\n{"event":"b"} {"event":"c"}\r\n{"event":"d"}'
    decoded = decode_json_block(block)
    assert [event.name for event in decoded.events] == ["a", "d"]
    assert [(bad.offset, bad.line, bad.error.offset) for bad in decoded.bad_lines] == [
        (14, b"[1]", 0),
        (19, b'{"event":"b"} {"event":"c"}', 14),
    ]


TRICKY_BLOCKS = [
    b'{"event":\n"a"}',
    b'{"event":"a"}{"event":"b"}\n{"event":"c"}',
    b'{"event":"a"} {"event":"b"}\n{"event":\n"c"}',
    b'{"fields":{"a":1,"a":2}}\n{"fields":{"b\\":":1}}',
    b'{"fields":{"a" :1,"a":2}}',
    b'{"fields":{"a"\t:1,"a":2}}',
    b'{"fields":{"a"\r:1,"a":2}}',
    b'{"fields":{}\n,"event":"a"}',
    b"\n\n",
    b"",
    b"{}",
    b"{}\n",
    b"\n{}",
    b'{"event":"\xff"}\n{}',
]


@pytest.mark.parametrize("block", TRICKY_BLOCKS)
def test_blocks_never_disagree_with_lines(block: bytes) -> None:
    """Whatever stands in a block, each line is judged as it is judged alone."""
    assert _by_block(block) == _by_line(block)


@given(st.lists(st.sampled_from([b'{"event":"a"', b"}", b"{", b",", b'"x":1', b"\n", b" ", b'"fields":{"a":1', b"\r", b'"a":1'])))  # fmt: skip
def test_random_blocks_never_disagree_with_lines(pieces: list[bytes]) -> None:
    """The fast way and the line by line way come to the same result for any bytes."""
    block = b"".join(pieces)
    assert _by_block(block) == _by_line(block)


def _by_block(block: bytes) -> tuple[list[object], list[object]]:
    decoded = decode_json_block(block)
    return list(decoded.events), [(bad.line, bad.error.args) for bad in decoded.bad_lines]


def _by_line(block: bytes) -> tuple[list[object], list[object]]:
    events: list[object] = []
    bad_lines: list[object] = []
    for whole in block.split(b"\n"):
        line = whole.removesuffix(b"\r")
        if line.strip(b" \t\r"):
            try:
                events.append(scan_event(line))
            except DecodeError as error:
                bad_lines.append((line, error.args))
    return events, bad_lines


@given(recoverable_events(utf8_texts))
def test_encoded_events_decode_equal(event: Event) -> None:
    """decode(encode(e)) is e in both time formats."""
    for time_format in ("rfc3339", "unix"):
        assert decode_json(encode_json(event, time_format=time_format)) == event
