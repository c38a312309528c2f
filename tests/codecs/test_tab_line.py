"""tab-text lines: what decodes, what does not and where."""

import pytest
from hypothesis import given

from dovebeam.transforms.codecs import decode_tab, encode_tab
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import Catalogue
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.formats.tab_text import escape_tab, unescape_tab
from support.strategies import recoverable_events, texts

GOOD = [
    (b"", make_event()),
    (b"event:a", make_event("a")),
    (b"event:", make_event("")),
    (b"event:a\xff", make_event("a\udcff")),
    (b"hostname:a\x01tb\x01n\x01r\x011\x010\x01x", make_event(hostname="a\tb\n\r\x01\0x")),
    (b"event:x\t\tfield:user=1", make_event("x", categories=[], fields={"user": "1"})),
    (b"event:x\t", make_event("x", categories=[])),
    (b"category:a\tcategory:b:c", make_event(categories=["a", "b:c"])),
    (b"start_time:1600000000.000005\tend_time:1970-01-01T00:00:00.000001Z",
     make_event(start_time=1_600_000_000_000_005, end_time=1)),
    (b"field:net_in_bytes=5\tfield:cmd_tag=5\tfield:uid=05", make_event(fields={"net_in_bytes": 5, "cmd_tag": "5", "uid": "05"})),
    (b"field:reason_code=x\x01ty\x01tz\x0111", make_event(fields={"reason_code": ["x", "y", "z\x01"]})),
    (b"field:reason_code=", make_event(fields={"reason_code": []})),
    (b"field:remote_ip=::1\tfield:last_run_time=1.000000\tfield:my_time=1970-01-01T00:00:00.000001Z",
     make_event(fields={"remote_ip": IPAddress("::1"), "last_run_time": Timestamp(1_000_000), "my_time": Timestamp(1)})),
    (b"field:user=a=b:c", make_event(fields={"user": "a=b:c"})),
    (b"field:user=\x0b\x0c\x85\x1c", make_event(fields={"user": "\x0b\x0c\udc85\x1c"})),
]  # fmt: skip

BAD = [
    (b"hello", 0, "no ':'"),
    (b"event:a\thello", 8, "no ':'"),
    (b"evnt:a", 0, "no part 'evnt'"),
    (b"event:a\tevent:b", 8, "occurs twice"),
    (b"field:a", 0, "no '='"),
    (b"field:a=1\tfield:a=2", 10, "occurs twice"),
    (b"start_time:now", 0, "not a time"),
    (b"event:a\t\t\tfield:a=1", 9, "empty part"),
    (b"category:a\t\tfield:a=1", 11, "empty part"),
    (b"event:a\t\tcategory:b", 9, "says there are none"),
    (b'{"event":"a"}', 0, "no part"),
]


@pytest.mark.parametrize(("line", "event"), GOOD)
def test_good_lines(line: bytes, event: Event) -> None:
    """What Dovecot writes decodes, types recovered by the names of fields."""
    assert decode_tab(line) == event


@pytest.mark.parametrize(("line", "offset", "reason"), BAD)
def test_bad_lines(line: bytes, offset: int, reason: str) -> None:
    """Everything else is a DecodeError at the part that is wrong, with a reason."""
    with pytest.raises(DecodeError, match=reason) as caught:
        decode_tab(line)
    assert caught.value.offset == offset


def test_the_longest_line() -> None:
    """A line over the limit is refused."""
    with pytest.raises(DecodeError, match="limit of 10"):
        decode_tab(b"event:aaaaaaaaa", max_bytes=10)


def test_user_types() -> None:
    """A catalogue of one's own gives the types of one's own fields."""
    assert decode_tab(b"field:n=5", catalogue=Catalogue({"n": "int"})).fields == {"n": 5}


@given(texts)
def test_unescape_undoes_escape(text: str) -> None:
    """unescape(escape(s)) is s, and an escaped text has no byte that frames a line or a part."""
    escaped = escape_tab(text)
    assert unescape_tab(escaped) == text
    assert not set(escaped) & set("\0\t\n\r")


@given(recoverable_events(texts))
def test_encoded_events_decode_equal(event: Event) -> None:
    """decode(encode(e)) is e in both time formats, also with bytes that are not UTF-8."""
    for time_format in ("rfc3339", "unix"):
        assert decode_tab(encode_tab(event, time_format=time_format)) == event
