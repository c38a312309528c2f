"""From payloads to parts to plans: the same files, whatever bundles a runner makes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import LocalStore
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import UNKNOWN_OFFSET, Extent, Frame, Lines, Piece, plan_files

LAYOUT = Layout("x", "r")


class Batch(NamedTuple):
    """Payloads of one block."""

    source: str
    offset: int
    paths: list[str]
    payloads: list[bytes]


def run(base: Path, bundles: Sequence[Sequence[Batch]], max_bytes: int) -> dict[str, bytes]:
    """The files that bundles of batches become, by their names."""
    store, pieces = LocalStore(str(base), 0o600, 0o700), []
    for number, bundle in enumerate(bundles):
        writer = PartWriter(store, f"t/{number}.part", Lines(), max_bytes)
        for batch in bundle:
            for path, payloads, first in by_path(batch.paths, batch.payloads, "events"):
                pieces.extend(writer.add(path, payloads, (batch.source, batch.offset + first)))
        pieces.extend(writer.finish())
    found = {}
    for path in {piece.path for piece in pieces}:
        for plan in plan_files(path, [piece for piece in pieces if piece.path == path], LAYOUT, max_bytes):
            written = compose(store, plan, f"t/{len(found)}.file", Lines(), "none")
            found[plan.name] = (base / written.temporary).read_bytes()
    return found


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Blocks of a few files, with payloads for a few paths; offsets grow within a file."""
    found = []
    for source in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1)):
        offset = 0
        for _ in range(draw(st.integers(1, 5))):
            payloads = draw(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=6))
            paths = [draw(st.sampled_from("pq")) for _ in payloads]
            found.append(Batch(source, offset, paths, payloads))
            offset += draw(st.sampled_from([10, 1000, 2**26, 2**40]))
    return found


@given(batches(), st.integers(0, 40), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_bundles_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, found: list[Batch], max_bytes: int, chance: random.Random
) -> None:
    """Any order of batches, and any bundles of them, give the same names and the same bytes."""
    in_one = run(tmp_path_factory.mktemp("one"), [found], max_bytes)
    shuffled = chance.sample(found, len(found))
    bundles: list[list[Batch]] = [[] for _ in range(3)]
    for batch in shuffled:
        chance.choice(bundles).append(batch)
    assert run(tmp_path_factory.mktemp("three"), bundles, max_bytes) == in_one
    for path in "pq":
        content = b"".join(in_one[name] for name in sorted(in_one) if name.startswith(path))
        expected = [
            payload + b"\n"
            for batch in sorted(found, key=lambda batch: (batch.source, batch.offset))
            for to, payload in zip(batch.paths, batch.payloads, strict=True)
            if to == path
        ]
        assert content == b"".join(expected)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(8, 60))
@settings(deadline=None, max_examples=60)
def test_sizes(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], max_bytes: int) -> None:
    """No file is larger than it may be, unless a single payload is; no file is empty."""
    batch = Batch("a", 0, [], [b"x" * length for length in lengths])
    files = run(tmp_path_factory.mktemp("base"), [[batch]], max_bytes)
    for content in files.values():
        assert content
        assert len(content) <= max_bytes or content.count(b"\n") == 1
    assert b"".join(files[name] for name in sorted(files)) == b"".join(b"x" * length + b"\n" for length in lengths)


def test_files_come_close_to_their_size(tmp_path: Path) -> None:
    """Large batches are cut, so that files are nearly as large as they may be."""
    found = [Batch("a", number * 1000, [], [b"x" * 99] * 10) for number in range(100)]
    files = run(tmp_path, [found], 10_000)
    assert len(files) <= 12
    assert max(map(len, files.values())) <= 10_000


def test_same_origin(tmp_path: Path) -> None:
    """Batches that claim the same origin, as those of rejects that are sent again may, are in a fixed order, too."""
    found = [Batch("a", 0, [], [text]) for text in (b"one", b"two", b"three")]
    names = [tmp_path / str(number) for number in range(3)]
    for name in names:
        name.mkdir()
    files = run(names[0], [found], 0)
    assert run(names[1], [found[::-1]], 0) == files
    assert run(names[2], [[each] for each in found[1:] + found[:1]], 0) == files


def test_payloads_from_nowhere(tmp_path: Path) -> None:
    """Each of them is in a file, once."""
    found = [Batch("", UNKNOWN_OFFSET, [], [b"%d" % number]) for number in range(1000)]
    files = run(tmp_path, [found[:300], found[300:]], 500)
    lines = b"".join(files.values()).split(b"\n")[:-1]
    assert sorted(map(int, lines)) == list(range(1000))


def piece(part: str, begin: int, *frames: Frame) -> Piece:
    """A piece of the path p and the source s."""
    return Piece.of("p", "s", part, begin, frames)


def test_frames_that_follow_each_other_are_read_together() -> None:
    """Of a part that lies in order there is one extent, however many frames it has."""
    frames = [Frame(number, 0, 0, 10, 1) for number in range(1000)]
    [plan] = plan_files("p", [piece("a", 5, *frames[:600]), piece("b", 0, *frames[600:])], LAYOUT, 0)
    assert plan.extents == (Extent("a", 5, 6000), Extent("b", 0, 4000))
    assert plan.events == 1000


def test_default_size() -> None:
    """Without a size, files end at 1 GiB, at the same frame however the pieces are."""
    frames = [Frame(number, 0, 0, 2**29 - 1, 1) for number in range(5)]
    plans = plan_files("p", [piece(str(number), 0, frame) for number, frame in enumerate(frames)], LAYOUT, 0)
    assert [plan.events for plan in plans] == [2, 2, 1]
    assert [plan.name for plan in plans] == [f"p-r-0000{number}-of-00003" for number in range(3)]


@pytest.mark.parametrize(("spans", "span"), [(((3, 7), (1, 2)), (1, 7)), (((3, 7), None), None), ((None, None), None)])
def test_times(spans: tuple[tuple[int, int] | None, ...], span: tuple[int, int] | None) -> None:
    """A file's span is that of all its events, or unknown if one is."""
    frames = [Frame(number, 0, 0, 1, 1, each) for number, each in enumerate(spans)]
    [plan] = plan_files("p", [piece("a", 0, frame) for frame in frames], LAYOUT, 0)
    assert plan.span == span
