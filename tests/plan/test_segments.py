"""Segments of a queue: what is read is what was written, or it is told that the file is damaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.queue import SegmentName, decode_segment, encode_segment
from dovebeam.transforms.sources import MessageOrigin
from support.strategies import raw_texts, utf8_texts

messages = st.builds(MessageOrigin, st.integers(0, 2**40), st.integers(0, 2**62), utf8_texts)


@st.composite
def batches(draw: st.DrawFn) -> PayloadBatch:
    """A batch that says of each payload everything or nothing."""
    payloads = draw(st.lists(st.binary(max_size=20), max_size=5))
    of_each = lambda what: draw(st.lists(what, min_size=len(payloads), max_size=len(payloads)) | st.just([]))  # noqa: E731
    return PayloadBatch(
        payloads,
        of_each(raw_texts),
        of_each(st.none() | st.integers(0, 2**63)),
        draw(raw_texts),
        of_each(raw_texts),
        messages=tuple(draw(st.lists(messages, max_size=3))),
    )


@given(st.lists(batches(), max_size=4))
def test_round_trip(written: list[PayloadBatch]) -> None:
    """Whatever names of files, metrics and paths consist of."""
    assert decode_segment(encode_segment(written), "s") == written


@given(st.lists(batches(), max_size=4), st.data())
def test_damage(written: list[PayloadBatch], data: st.DataObject) -> None:
    """One byte that changed, or an end that is missing, is noticed."""
    content = encode_segment(written)
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    for damaged in (changed, content[:place]):
        with pytest.raises(DeliveryError, match=r"^s is damaged \("):
            decode_segment(damaged, "s")


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        [[b"x"], b"", [], [], [], []],
        [[b"x"], b"", [], [0], [], [], []],
        [[b"x"], b"", [b"m"], [-1], [], [], []],
        [[b"x"], b"", [b"m"], [0, 0], [], [], []],
        [[b"x"], b"", [], [], [1, 2], [], []],
        [[b"x"], b"", [], [], [], [b"p", b"q"], []],
        [[b"x"], b"", [], [], [], [], [], 1],
        [["x"], b"", [], [], [], [], []],
    ],
)
def test_whole_and_yet_not_ours(entry: object) -> None:
    """A file that somebody else wrote, with a right checksum, is refused as well."""
    import zlib

    body = msgspec.msgpack.encode([entry])
    with pytest.raises(DeliveryError, match="is damaged"):
        decode_segment(b"dovebeam queue 1\n" + zlib.crc32(body).to_bytes(4) + body, "s")


@given(st.builds(SegmentName, st.integers(0, 10**20 - 1), st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1)))
def test_names(name: SegmentName) -> None:
    """A name is read back, and names are in the order of their numbers."""
    assert SegmentName.of(str(name)) == name


@pytest.mark.parametrize("text", ["", "full", "lock", ".1.2", "1.2.3", f"{1:020}.2", f"{1:020}.2.3x", f"{1:020}.-2.3"])
def test_other_files(text: str) -> None:
    """Everything else in the directory is none of the queue's segments."""
    assert SegmentName.of(text) is None
