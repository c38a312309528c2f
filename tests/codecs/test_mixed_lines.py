"""Blocks in which both of Dovecot's formats are, as in a collector's spool."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.codecs import decode_json, decode_json_block, decode_tab, decode_tab_block
from dovebeam.transforms.codecs.lines import DecodedBlock
from support.oracle.corpus import corpus_lines

JSON = corpus_lines("events.json.gz")[:50]
TAB = corpus_lines("events.tab.gz")[:50]


@pytest.mark.parametrize("decode", [decode_json_block, decode_tab_block])
@given(lines=st.lists(st.one_of(st.sampled_from(JSON), st.sampled_from(TAB)), min_size=1))
def test_each_line_is_read_as_what_it_is(decode: Callable[[bytes], DecodedBlock], lines: list[bytes]) -> None:
    """Whatever the block begins with, each line gives the event that it gives alone, at its own offset."""
    decoded = decode(b"".join(line + b"\n" for line in lines))
    assert decoded.bad_lines == []
    assert decoded.events == [(decode_json if line[:1] == b"{" else decode_tab)(line) for line in lines]
    starts = [sum(len(line) + 1 for line in lines[:index]) for index in range(len(lines))]
    assert list(decoded.offsets()) == starts


@pytest.mark.parametrize(
    ("decode", "other"), [(decode_json_block, TAB), (decode_tab_block, JSON)], ids=["json", "tab-text"]
)
def test_a_format_that_was_named_is_the_only_one(decode: Callable[..., DecodedBlock], other: list[bytes]) -> None:
    """Lines of the other format are bad lines then."""
    decoded = decode(b"".join(line + b"\n" for line in other), mixed=False)
    assert len(decoded.bad_lines) == len(other)
    assert decoded.events == []
