"""Blocks of which only events with certain names are decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json_block
from dovebeam.transforms.codecs.json_select import decode_json_block_named
from support.corpus import corpus_lines

NAMES = frozenset({"a", "b"})


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_equals_decoding_all_of_the_corpus(end: bytes) -> None:
    """The events of a name, and the offsets of their lines, are those found by decoding everything."""
    names = frozenset({"imap_command_finished", "mail_opened"})
    lines = corpus_lines("events.json.gz")
    for start in range(0, len(lines), 500):
        block = end.join(lines[start : start + 500]) + end
        named, passed_over = decode_json_block_named(block, names)
        everything = decode_json_block(block)
        wanted = [index for index, event in enumerate(everything.events) if event.name in names]
        assert list(named.events) == [everything.events[index] for index in wanted]
        assert list(named.offsets()) == [everything.offsets()[index] for index in wanted]
        assert passed_over == len(everything.events) - len(wanted)


BLOCKS = [
    (b'{"event":"a"}\n{"event":"c"}\n{"event":"b"}\n', ["a", "b"], [0, 28], 1, []),
    (b'{"event":"a"}\n[1]\n{"event":"c"}', ["a"], [0], 1, [14]),
    (b'{"event":"c"}\n{"event":"a","fields":{"x":1,"x":1}}\n{"event":"b"}', ["b"], [51], 1, [14]),
    (b'{"event":"c"}\n{"event":5}\n', [], [], 1, [14]),
    (b'{"fields":{}}\n{"event":"a"}', ["a"], [14], 1, []),
    (b'{"event":"c","fields":{"x":NaN}}\n{"event":"a"}', ["a"], [33], 0, [0]),
    (b'{"event":"a"} {"event":"b"}\n{"event":\n"a"}', [], [], 0, [0, 28, 38]),
    (b"\n\n", [], [], 0, []),
    (b"", [], [], 0, []),
]


@pytest.mark.parametrize(("block", "names", "offsets", "passed_over", "bad"), BLOCKS)
def test_blocks(block: bytes, names: list[str], offsets: list[int], passed_over: int, bad: list[int]) -> None:
    """Wanted events come with their places, others are counted, what is no object is a bad line."""
    decoded, others = decode_json_block_named(block, NAMES)
    assert [event.name for event in decoded.events] == names
    assert list(decoded.offsets()) == offsets
    assert others == passed_over
    assert [line.offset for line in decoded.bad_lines] == bad


PIECES = [
    b'{"event":"a"}',
    b'{"event":"c"}',
    b'{"event":',
    b'"a"}',
    b"}",
    b"{",
    b"\n",
    b"\r\n",
    b" ",
    b"[]",
    b'{"fields":{"x":{}}}',
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_every_line_is_accounted_for(pieces: list[bytes]) -> None:
    """Each line that is not blank is an event, passed over, or bad; and each wanted event is found."""
    block = b"".join(pieces)
    decoded, others = decode_json_block_named(block, NAMES)
    lines = [line for line in block.split(b"\n") if line.strip(b" \t\r")]
    assert len(decoded.events) + others + len(decoded.bad_lines) == len(lines)
    everything = decode_json_block(block)
    assert list(decoded.events) == [event for event in everything.events if event.name in NAMES]
    for offset, event in zip(decoded.offsets(), decoded.events, strict=True):
        assert decode_json_block(block[offset:].split(b"\n")[0]).events == [event]
