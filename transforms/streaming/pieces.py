"""What all sources of a stream have in common: their work comes in pieces, numbered, without an end.

A source is an unbounded splittable DoFn of one element. Each bundle processes one piece: it reads what is there for a
second at most, gives it to the steps behind it, which are in the same bundle, and leaves the rest of all pieces for
later. When the runner says that the bundle succeeded, so that everything was delivered or is in the rejects, the source
acknowledges (Beam's bundle finalizer). Until then it must be able to give the same again.

Beam's in-process runner keeps some memory for every bundle until its pipeline ends. So a stream runs there as a
sequence of pipelines, its segments, each of which ends after a number of pieces.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from dovebeam.transforms import progress

__all__ = ["ENDLESS", "LAST_PIECE", "PieceNumbers", "PieceTracker", "Segment", "first_filled"]

LAST_PIECE: Final = 2**62
POLL_SECS: Final = 0.05
LINGER_SECS: Final = 0.2
"""What comes so soon after the first lines is of the same piece: a bundle costs as much as some hundred lines."""


class Segment(NamedTuple):
    """Which pieces a pipeline processes.

    Attributes:
        first: number of the first one; of the next pipeline of the same stream it must be larger.
        max_pieces: how many at most; None for all.
        max_secs: after how many seconds no piece is begun any more; None for no limit.
    """

    first: int = 0
    max_pieces: int | None = None
    max_secs: float | None = None

    def is_over(self, place: int, begun_at: float) -> bool:
        """Whether the piece of this number is the last one.

        Args:
            place: number of the piece.
            begun_at: when the pipeline began, by the monotonic clock.
        """
        if progress.is_draining():
            return True
        if self.max_pieces is not None and place - self.first + 1 >= self.max_pieces:
            return True
        return self.max_secs is not None and time.monotonic() - begun_at >= self.max_secs


ENDLESS: Final = Segment()


class PieceTracker(OffsetRestrictionTracker):
    """Pieces are done one after the other, so a runner that wants a share for another worker gets none.

    Prism asks for one whenever a bundle takes longer than it likes; the second half of all numbers would be read at the
    same time as the first.
    """

    def try_split(self, fraction_of_remainder: float) -> Any:
        """Splits for the source itself, which asks for nothing to be left; else not at all."""
        return super().try_split(0) if fraction_of_remainder == 0 else None


class PieceNumbers(RestrictionProvider):
    """The numbers of the pieces of an element that is a `Segment`; a base class of DoFns that are sources."""

    def initial_restriction(self, element: Segment) -> OffsetRange:
        """All pieces from the first one on."""
        return OffsetRange(element.first, LAST_PIECE)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        """One that gives pieces away only behind the one in hand, when that is done."""
        return PieceTracker(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:  # noqa: ARG002
        """One, since nobody knows how much will come."""
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """Nothing is left to be read when a runner drains the job."""


def first_filled(read: Callable[[], Iterator[Any]], wait_secs: float) -> Iterator[Any]:
    """What `read` gives, soon after it gives something; nothing after some time, or when the job is to end.

    Args:
        read: looks once, without waiting.
        wait_secs: for how long to look again.
    """
    give_up, found = time.monotonic() + wait_secs, False
    while True:
        for each in read():
            if not found:
                found, give_up = True, time.monotonic() + LINGER_SECS
            yield each
        if progress.is_draining() or time.monotonic() >= give_up:
            return
        time.sleep(POLL_SECS)
