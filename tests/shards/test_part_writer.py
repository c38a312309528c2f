"""Parts: what a bundle wrote, and how little of it is in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.local_store import LocalStore
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import UNKNOWN_OFFSET, Lines
from support.jobs.file_jobs import small_disk

MIB = 2**20


def writer(base: Path, max_bytes: int = 0) -> PartWriter:
    """A writer of the part t/a."""
    return PartWriter(LocalStore(str(base), 0o600, 0o700), "t/a", Lines(), max_bytes)


def test_pieces_say_where_everything_is(tmp_path: Path) -> None:
    """Each frame of a piece is in the part where the piece says, whatever the order in which paths came."""
    part = writer(tmp_path)
    for number in range(100):
        path = f"p{number % 7}"
        assert list(part.add(path, [b"%d" % number, b"-" * number], ("s", number))) == []
    content = None
    found = []
    for piece in part.finish():
        content = (tmp_path / "t/a").read_bytes()
        for placed in piece.frames():
            data = content[placed.begin : placed.begin + placed.frame.size]
            assert data == b"%d\n%s\n" % (placed.offset, b"-" * placed.offset)
            assert piece.path == f"p{placed.offset % 7}"
            assert placed.frame.events == 2
            found.append(placed.offset)
    assert sorted(found) == list(range(100))


def test_nothing_makes_no_part(tmp_path: Path) -> None:
    """A bundle without payloads leaves no file."""
    part = writer(tmp_path)
    assert list(part.add("p", [], ("s", 0))) == []
    assert part.finish() == []
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded(tmp_path: Path) -> None:
    """After 8 MiB what is held is written, and its pieces are given away at once."""
    part = writer(tmp_path)
    given = [list(part.add(f"p{number % 3}", [b"x" * (MIB - 600)], ("s", number))) for number in range(20)]
    assert [len(pieces) for pieces in given] == [0] * 8 + [3] + [0] * 8 + [3] + [0] * 2
    assert (tmp_path / "t/a").stat().st_size == 18 * (MIB - 599)
    part.finish()
    assert (tmp_path / "t/a").stat().st_size == 20 * (MIB - 599)


def test_memory_of_many_paths(tmp_path: Path) -> None:
    """What is held is little, too, if every payload goes to a path of its own and is small."""
    part = writer(tmp_path)
    given = [len(list(part.add(f"p{number}", [b"x"], ("s", number)))) for number in range(20_000)]
    assert 16_000 < max(given) < 17_000
    assert max(given) + len(part.finish()) == 20_000


def test_payloads_without_origin_are_framed_together(tmp_path: Path) -> None:
    """The account of many small payloads from nowhere is small."""
    part = writer(tmp_path)
    for number in range(10_000):
        assert list(part.add("p", [b"%05d" % number], ("", UNKNOWN_OFFSET))) == []
    [piece] = part.finish()
    frames = list(piece.frames())
    assert len(frames) == 1
    assert frames[0].frame.events == 10_000


def test_origin_and_none_together(tmp_path: Path) -> None:
    """Of one source, some payloads may have an offset and some not; all are there."""
    part = writer(tmp_path)
    part.add("p", [b"a"], ("s", 5))
    part.add("p", [b"b"], ("s", UNKNOWN_OFFSET))
    [piece] = part.finish()
    assert [placed.offset for placed in piece.frames()] == [-1, 5]
    assert (tmp_path / "t/a").read_bytes() == b"b\na\n"


def test_full_disk(tmp_path: Path) -> None:
    """The part that does not fit is an error that names it and says what to do, at the latest when it ends."""
    with small_disk(tmp_path / "disk", "64k") as base:
        part = writer(base)
        part.add("p", [b"x" * 100_000], ("s", 0))
        with pytest.raises(DeliveryError, match=r"disk/t/a\) failed: No space left on device .*make room"):
            part.finish()
        part.abandon()


def test_abandoning(tmp_path: Path) -> None:
    """A failed bundle's part is closed, once or twice."""
    part = writer(tmp_path)
    for number in range(9):
        part.add("p", [b"x" * MIB], ("s", number))
    part.abandon()
    part.abandon()


def test_by_path() -> None:
    """Payloads keep their order within a path, and the first one's index is known."""
    payloads = [b"0", b"1", b"2", b"3"]
    assert list(by_path(["p", "q", "p", "q"], payloads, "d")) == [("p", [b"0", b"2"], 0), ("q", [b"1", b"3"], 1)]
    assert list(by_path([], payloads, "d")) == [("d", payloads, 0)]
