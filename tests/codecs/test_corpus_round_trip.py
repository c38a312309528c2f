"""Every event of a real Dovecot, in its four serialisations, decodes without loss."""

from collections.abc import Callable

import pytest

from dovebeam.transforms.codecs import (
    decode_json,
    decode_json_block,
    decode_tab,
    encode_json,
    encode_tab,
    event_from_avro,
    event_to_avro,
)
from dovebeam.transforms.events.event import Event, make_event
from support.oracle.corpus import corpus_lines

FILES = [
    ("events.json.gz", decode_json, encode_json, "rfc3339"),
    ("events-unix.json.gz", decode_json, encode_json, "unix"),
    ("events.tab.gz", decode_tab, encode_tab, "rfc3339"),
    ("events-unix.tab.gz", decode_tab, encode_tab, "unix"),
]


@pytest.mark.parametrize(("name", "decode", "encode", "time_format"), FILES)
def test_bytes_survive(
    name: str, decode: Callable[[bytes], Event], encode: Callable[..., bytes], time_format: str
) -> None:
    """Line -> Event -> line gives the same bytes for every line."""
    for line in corpus_lines(name):
        assert encode(decode(line), time_format=time_format) == line


def test_all_four_give_equal_events() -> None:
    """The four lines of an event decode to equal events, apart from bytes that JSON had to replace."""
    replaced = 0
    for lines in zip(*(corpus_lines(name) for name, *_ in FILES), strict=True):
        json_event, json_unix, tab_event, tab_unix = (
            decode(line) for (_, decode, _, _), line in zip(FILES, lines, strict=True)
        )
        assert json_event == json_unix
        assert tab_event == tab_unix
        if json_event != tab_event:
            assert json_event == _as_json_shows(tab_event)
            replaced += 1
    assert replaced == sum(not _is_utf8(line) for line in corpus_lines("events.tab.gz"))


@pytest.mark.parametrize(("name", "end"), [("events.json.gz", b"\n"), ("events-unix.json.gz", b"\r\n")])
def test_blocks_equal_lines(name: str, end: bytes) -> None:
    """Decoding by blocks gives the events of decoding by lines."""
    lines = corpus_lines(name)
    for start in range(0, len(lines), 1000):
        some = lines[start : start + 1000]
        decoded = decode_json_block(end.join(some))
        assert not decoded.bad_lines
        assert list(decoded.events) == [decode_json(line) for line in some]


def test_avro_keeps_everything() -> None:
    """Event -> Avro record -> Event is the same event, bytes that are not UTF-8 included."""
    for line in corpus_lines("events.tab.gz")[::7]:
        event = decode_tab(line)
        assert event_from_avro(event_to_avro(event)) == event


def _as_json_shows(event: Event) -> Event:
    """The event with U+FFFD for every byte that was not UTF-8."""

    def shown(value: object) -> object:
        return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in value) if isinstance(value, str) else value

    return make_event(
        event.name,
        fields={key: shown(value) for key, value in event.fields.items()},
        categories=event.categories,
        hostname=event.hostname,
        start_time=event.start_time,
        end_time=event.end_time,
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
