"""Lines put together from pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.pipelines.collect.unix_lines import LineAssembler

STREAMS = st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"\r")), max_size=8)


@given(
    lines=STREAMS,
    last=st.binary(max_size=4).map(lambda line: line.replace(b"\n", b"")),
    cuts=st.lists(st.integers(0, 60)),
)
def test_pieces_do_not_matter(lines: list[bytes], last: bytes, cuts: list[int]) -> None:
    """However a stream is cut, its whole lines come out in order; what has no end is aside."""
    stream = b"".join(line + b"\n" for line in lines) + last
    assembler = LineAssembler(100)
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    whole = b"".join(assembler.feed(stream[a:b]) for a, b in pairwise(borders) if a < b)
    assembler.end()
    assert whole == b"".join(line + b"\n" for line in lines)
    assert assembler.take_aside() == (([last + b"\n"], 1) if last else ([], 0))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
def test_long_lines(size: int) -> None:
    """A line longer than allowed is aside, whatever its pieces; its neighbours are not, one of just that length neither."""
    stream = b"before\n" + b"1234567\n" + b"x" * 30 + b"\nafter\n" + b"y" * 8 + b"\nlast\n"
    assembler = LineAssembler(8)
    whole = b"".join(assembler.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    pieces, torn = assembler.take_aside()
    assert whole == b"before\n1234567\nafter\nlast\n"
    assert torn == 2
    assert b"".join(pieces).replace(b"\n", b"") == b"x" * 30 + b"y" * 8
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_no_memory_for_long_lines() -> None:
    """What is held of a line that never ends is no more than the limit and one piece."""
    assembler = LineAssembler(1000)
    held = 0
    for _ in range(1000):
        assembler.feed(b"x" * 100)
        pieces, torn = assembler.take_aside()
        held += 100 - sum(len(piece) - 1 for piece in pieces)
        assert held <= 1000
        assert torn == 0
    assembler.end()
    assert assembler.take_aside()[1] == 1
