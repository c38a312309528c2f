"""`FollowBlocks`: local files that others write, as an unbounded source of blocks."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics import Metrics

from dovebeam.transforms.sources import Block
from dovebeam.transforms.streaming.pieces import ENDLESS, LAST_PIECE, PieceNumbers, Segment, first_filled
from dovebeam.transforms.tailing import FollowRequest, Session, session_of

__all__ = ["FollowBlocks"]

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_SECS: Final = 1.0
_WAIT_SECS: Final = 1.0
_METRICS: Final = "dovebeam.reading"


class FollowBlocks(beam.PTransform):
    """Follows files and gives the lines that are added to them, in blocks; give it to a pipeline.

    The state is saved when a bundle has succeeded. So after any stop, every line that was not delivered or rejected for
    sure comes again: at least once, and twice only what was in hand.

    Parallelism: one worker reads; steps that should run elsewhere can be behind a `Reshuffle`, but then lines count as
    delivered when they got there. Runs on workers that see the files and the state, and on one of them at a time.

    Args:
        request: what to follow, and where the state is.
        segment: of the stream's pieces, those of this pipeline.
    """

    def __init__(self, request: FollowRequest, segment: Segment = ENDLESS) -> None:
        super().__init__()
        self._request = request
        self._segment = segment

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = (
            pbegin
            | "Begin" >> beam.Impulse()
            | "Segment" >> beam.Map(lambda _, segment: segment, self._segment)
            | "Follow" >> beam.ParDo(_FollowFn(self._request))
        )
        return blocks


@beam.typehints.with_output_types(Block)
class _FollowFn(beam.DoFn, PieceNumbers):
    """One bundle is one piece; see `streaming.pieces`."""

    def __init__(self, request: FollowRequest) -> None:
        super().__init__()
        self._request = request
        self._blocks = Metrics.counter(_METRICS, "blocks")
        self._bytes = Metrics.counter(_METRICS, "bytes")

    def setup(self) -> None:
        self._begun_at = time.monotonic()

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        segment: Segment,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # the class itself, and first: Beam knows no other way
        tracker: Any = beam.DoFn.RestrictionParam(),  # noqa: B008
    ) -> Iterator[Block]:
        """The blocks of the piece at which the tracker stands."""
        place = tracker.current_restriction().start
        if not tracker.try_claim(place):
            return
        session = session_of(self._request)
        session.begin(place)
        for block in first_filled(self._read(session), _WAIT_SECS):
            self._blocks.inc()
            self._bytes.inc(len(block.data))
            yield block
        finalizer.register(session.end(place + 1))
        if segment.is_over(place, self._begun_at):
            tracker.try_claim(LAST_PIECE)
        else:
            tracker.defer_remainder()

    @staticmethod
    def _read(session: Session) -> Callable[[], Iterator[Block]]:
        deadline = time.monotonic() + _WAIT_SECS + _MAX_SECS
        return lambda: session.read(_MAX_BYTES, deadline)
