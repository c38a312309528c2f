"""Each line once, whatever the runner splits."""

import random
from pathlib import Path

import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.read_from_files import ReadFn, Settings
from dovebeam.transforms.sources import SourceFile
from support.read_blocks import SMALL, lines_of, placed_lines, read_range, reader, source


@pytest.mark.parametrize("max_line_bytes", [1 << 24, 20])
def test_split_at_every_pair_of_byte_offsets(tmp_path: Path, max_line_bytes: int) -> None:
    """Three readers share a small file at any two offsets: the same lines, each once, in order."""
    file, do_fn = source(tmp_path / "f", SMALL), reader(1, max_line_bytes)
    whole = read_range(file, do_fn, 0, len(SMALL))
    if max_line_bytes > 100:
        assert whole == placed_lines(SMALL)
    for first in range(len(SMALL) + 1):
        left = read_range(file, do_fn, 0, first)
        for second in range(first, len(SMALL) + 1):
            if second % 7 == first % 7 or first % 10 == 0:  # the core is tested with all pairs
                rest = read_range(file, do_fn, first, second) + read_range(file, do_fn, second, len(SMALL))
                assert left + rest == whole


class SplittingTracker(OffsetRestrictionTracker):  # type: ignore[misc]
    """Splits itself just before and just after claims, as a runner does from another thread."""

    def __init__(self, restriction: OffsetRange, rng: random.Random) -> None:
        super().__init__(restriction)
        self.rng = rng
        self.residuals: list[OffsetRange] = []

    def split_somewhere(self) -> None:
        """Perhaps hands a part of what is left to another reader."""
        if self.rng.random() < 0.4:
            split = self.try_split(self.rng.choice([0.0, 0.1, 0.5, 0.9]))
            if split:
                self.residuals.append(split[1])

    def try_claim(self, position: int) -> bool:
        """As always, between splits."""
        self.split_somewhere()
        claimed: bool = super().try_claim(position)
        self.split_somewhere()
        return claimed


@given(
    st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\n", b"\r\n", b"efghijklmnop"]), max_size=40).map(b"".join),
    st.integers(1, 8),
    st.sampled_from([5, 1000]),
    st.randoms(use_true_random=False),
)
def test_dynamic_splits(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cell_bytes: int, limit: int, rng: random.Random
) -> None:
    """Whenever and wherever a runner splits, again and again, each line comes exactly once."""
    file = source(tmp_path_factory.getbasetemp() / "split", data)
    do_fn = reader(cell_bytes, limit)
    whole = do_fn.initial_restriction(file)
    expected = read_range(file, do_fn, whole.start, whole.stop)
    todo, lines = [whole], []
    while todo:
        tracker = SplittingTracker(todo.pop(), rng)
        lines += [line for block in do_fn.process(file, tracker) for line in lines_of(block)]
        tracker.check_done()
        todo += tracker.residuals
    assert sorted(lines) == expected


def test_split_while_a_block_is_handed_on(tmp_path: Path) -> None:
    """A split between two blocks takes effect at the next claim, and blocks are the same as without it."""
    data = b"".join(b"line %d\n" % number for number in range(1000))
    file, do_fn = source(tmp_path / "f", data), reader(100)
    whole = do_fn.initial_restriction(file)
    expected = list(do_fn.process(file, do_fn.create_tracker(whole)))
    for position in range(len(expected)):
        tracker = do_fn.create_tracker(whole)
        blocks, residual = [], None
        for index, block in enumerate(do_fn.process(file, tracker)):
            blocks.append(block)
            if index == position:
                split = tracker.try_split(0.3)
                residual = split[1] if split else None
        if residual:
            blocks += do_fn.process(file, do_fn.create_tracker(residual))
        assert blocks == expected


def test_shards_at_launch(tmp_path: Path) -> None:
    """Large plain files are split in parts of about the size that was asked for; others never."""
    do_fn = ReadFn(Settings("auto", 1 << 24, 1 << 16, 1 << 20))
    plain = SourceFile("f", 10 << 20, "none", "json")
    parts = list(do_fn.split(plain, do_fn.initial_restriction(plain)))
    assert [(part.start, part.stop) for part in parts] == [(16 * n, 16 * n + 16) for n in range(10)]
    assert [do_fn.restriction_size(plain, part) for part in parts] == [1 << 20] * 10
    packed = SourceFile("f", 10 << 20, "gzip", "json")
    (part,) = do_fn.split(packed, do_fn.initial_restriction(packed))
    assert do_fn.restriction_size(packed, part) > 10 << 20
