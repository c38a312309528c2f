"""`SubscriptionBlocks`: messages of a Google Pub/Sub subscription as an unbounded source of blocks."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics import Metrics

from dovebeam.transforms import progress
from dovebeam.transforms.pubsub import Session, SubscribeRequest, session_of
from dovebeam.transforms.sources import Block
from dovebeam.transforms.streaming.pieces import ENDLESS, LAST_PIECE, PieceNumbers, Segment, first_filled

__all__ = ["SubscriptionBlocks"]

_MAX_BYTES: Final = 8 * 1024 * 1024
_WAIT_SECS: Final = 1.0
_METRICS: Final = "dovebeam.reading"


class SubscriptionBlocks(beam.PTransform):
    """Pulls the messages of a subscription and gives their lines in blocks; give it to a pipeline.

    A message is acknowledged when its bundle has succeeded, and its lease is extended until then. So after any stop,
    every message that was not delivered or rejected for sure comes again: at least once, twice only what was in hand.

    Parallelism: one worker reads. Several streams may read one subscription; Pub/Sub divides the messages among them.

    Args:
        request: what to read.
        segment: of the stream's pieces, those of this pipeline.
    """

    def __init__(self, request: SubscribeRequest, segment: Segment = ENDLESS) -> None:
        super().__init__()
        self._request = request
        self._segment = segment

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = (
            pbegin
            | "Begin" >> beam.Impulse()
            | "Segment" >> beam.Map(lambda _, segment: segment, self._segment)
            | "Pull" >> beam.ParDo(_PullFn(self._request))
        )
        return blocks


@beam.typehints.with_output_types(Block)
class _PullFn(beam.DoFn, PieceNumbers):
    """One bundle is one piece; see `streaming.pieces`."""

    def __init__(self, request: SubscribeRequest) -> None:
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
        session.begin(place, segment.first)
        for block in self._read(session):
            self._blocks.inc()
            self._bytes.inc(len(block.data))
            yield block
        finalizer.register(session.end(place))
        if segment.is_over(place, self._begun_at):
            tracker.try_claim(LAST_PIECE)
        else:
            tracker.defer_remainder()

    @staticmethod
    def _read(session: Session) -> Iterator[Block]:
        look: Callable[[], Iterator[Block]] = lambda: session.read(_MAX_BYTES)  # noqa: E731
        yield from first_filled(look, _WAIT_SECS)
        if progress.is_draining():
            yield from session.read_rest()
