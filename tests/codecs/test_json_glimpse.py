"""Glimpses of JSON lines: enough for the filters, and lines told apart as the decoder tells them."""

import pytest

from dovebeam.transforms.codecs import decode_json_block
from dovebeam.transforms.codecs.json_glimpse import Glimpser
from dovebeam.transforms.filters import parse_filter
from support.oracle.corpus import corpus_lines

FILTERS = [
    "event=imap_command_finished AND tagged_reply_state=OK AND duration>1000",
    "category=imap AND user=* AND duration>20",
    'remote_ip=203.0.113.0/24 OR remote_ip="2001:db8::/32"',
    "reason_code=imap:fetch_body OR NOT net_in_bytes<100",
    'event=mail_* AND NOT mailbox=""',
]


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("name", ["events.json.gz", "events-unix.json.gz"])
def test_filters_see_no_difference(text: str, name: str) -> None:
    """A filter says of a glimpse what it says of the whole event, in both time formats."""
    parsed = parse_filter(text)
    keys = {comparison.key for comparison in parsed.comparisons}
    glimpser = Glimpser(keys - {"event", "category"})
    lines = corpus_lines(name)[::3]
    for start in range(0, len(lines), 500):
        block = b"\n".join(lines[start : start + 500])
        glimpses = glimpser.glimpse(block)
        assert glimpses is not None
        whole = [parsed.matches(event) for event in decode_json_block(block).events]
        assert [parsed.matches(event) for event in glimpses.events] == whole
        assert glimpses.lines(range(len(whole))) == block.split(b"\n")


def test_only_what_is_asked_for_is_read() -> None:
    """Fields that no filter names are not in a glimpse, whatever they hold."""
    glimpses = Glimpser(["a"]).glimpse(b'{"event":"x","hostname":"h","fields":{"b":{},"a":1}}\n')
    assert glimpses is not None
    (event,) = glimpses.events
    assert (event.name, event.hostname, event.categories, event.fields) == ("x", "h", [], {"a": 1})


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\n",
        b"[1]",
        b'{"event":5}',
        b'{"event":"a b"}',
        b'{"event":"a","hostname":5}',
        b'{"event":"a","start_time":"yesterday"}',
        b'{"event":"a","end_time":1e9999999999999999999}',
        b'{"event":"a","@timestamp":"2026-11-30T00:00:00Z"}',
        b'{"message":"an event"}',
        b'{"event":"a","fields":[]}',
        b'{"fields":{"a":true}}',
        b'{"fields":{"a":1e3}}',
        b'{"categories":["x",1]}',
        b'{"event":"a"} {"event":"b"}\n{"event":\n"a"}',
        b'{"event":"a"}{"event":"b"}\n{}',
        b'{"x":NaN}',
        b'{"event":"a"',
        b'{"event":"\xff"}',
    ],
)
def test_other_blocks_take_a_closer_look(block: bytes) -> None:
    """A block in which one line is not what filters expect has no glimpses."""
    assert Glimpser(["a"]).glimpse(block) is None
