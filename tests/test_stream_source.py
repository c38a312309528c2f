"""The numbers of a stream's pieces."""

from __future__ import annotations

import pytest
from apache_beam.io.restriction_trackers import OffsetRange

from dovebeam.transforms.read_from_streams import ENDLESS, LAST_PIECE, PieceNumbers


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99, 1.0])
def test_nothing_for_another_worker(fraction: float) -> None:
    """A runner that asks for a part of what is left, as Prism does of slow bundles, gets none, before and after."""
    numbers = PieceNumbers()
    tracker = numbers.create_tracker(numbers.initial_restriction(ENDLESS))
    assert tracker.try_split(fraction) is None
    assert tracker.try_claim(0)
    assert tracker.try_split(fraction) is None
    assert tracker.current_restriction() == OffsetRange(0, LAST_PIECE)


def test_the_rest_is_deferred() -> None:
    """The source itself leaves all later pieces for later, and none but those."""
    numbers = PieceNumbers()
    tracker = numbers.create_tracker(OffsetRange(7, LAST_PIECE))
    assert tracker.try_claim(7)
    assert tracker.try_split(0) == (OffsetRange(7, 8), OffsetRange(8, LAST_PIECE))
    assert not tracker.try_claim(8)
