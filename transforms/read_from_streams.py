"""The frame of a source of a stream: its steps, and what a bundle does. See `pieces` for the idea."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import progress
from dovebeam.transforms.sources import Block
from dovebeam.transforms.streaming.pieces import ENDLESS, LAST_PIECE, PieceNumbers, Segment
from dovebeam.transforms.tally import TALLY

__all__ = ["BlockSource", "SourceFn"]

_METRICS: Final = "dovebeam.reading"


@beam.typehints.with_output_types(Block)
class SourceFn(beam.DoFn, PieceNumbers):
    """One bundle is one piece.

    A block has the publish time of its earliest message, or else the time at which it was read; the watermark follows
    these times. Events have times of their own; `AssignEventTimes` gives them to a pipeline that wants windows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks = Metrics.counter(_METRICS, "blocks")
        self._bytes = Metrics.counter(_METRICS, "bytes")

    def setup(self) -> None:
        """Beam's hook."""
        self._begun_at = time.monotonic()

    @abstractmethod
    def begin(self, place: int, segment: Segment) -> None:
        """Goes to where the piece of this number begins."""

    @abstractmethod
    def read(self) -> Iterator[Block]:
        """What there is, within a bounded time."""

    @abstractmethod
    def end(self, place: int) -> Callable[[], None]:
        """Ends the piece; returns what acknowledges it."""

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        segment: Segment,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # the class itself, and first: Beam knows no other way
        tracker: Any = beam.DoFn.RestrictionParam(),  # noqa: B008
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),  # noqa: B008
    ) -> Iterator[Any]:
        """The blocks of the piece at which the tracker stands."""
        place = tracker.current_restriction().start
        if not tracker.try_claim(place):
            return
        self.begin(place, segment)
        TALLY.begin()
        earliest = _now()
        for block in self.read():
            self._blocks.inc()
            self._bytes.inc(len(block.data))
            published = _time_of(block)
            earliest = min(earliest, published)
            yield TimestampedValue(block, published)
        _advance(estimator, earliest)
        finalizer.register(self.end(place))
        finalizer.register(TALLY.keep)
        if segment.is_over(place, self._begun_at):
            tracker.try_claim(LAST_PIECE)
            finalizer.register(progress.tell_drained)
        else:
            tracker.defer_remainder()


class BlockSource(beam.PTransform):
    """The steps of a source; give it to a pipeline.

    Args:
        source: reads.
        segment: of the stream's pieces, those of this pipeline.
    """

    def __init__(self, source: SourceFn, segment: Segment = ENDLESS) -> None:
        super().__init__()
        self._source = source
        self._segment = segment

    def display_data(self) -> dict[str, Any]:
        """What is read, for a runner's user interface."""
        return self._source.display_data()

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class."""
        blocks: beam.PCollection[Block] = (
            pbegin
            | "Begin" >> beam.Impulse()
            | "Segment" >> beam.Map(lambda _, segment: segment, self._segment)
            | "Read" >> beam.ParDo(self._source)
        )
        return blocks


def _time_of(block: Block) -> Timestamp:
    published = [message.publish_time for message in block.messages if message.publish_time]
    return Timestamp(micros=min(published)) if published else _now()


def _now() -> Timestamp:
    return Timestamp(micros=time.time_ns() // 1000)


def _advance(estimator: Any, time: Timestamp) -> None:
    """Watermarks only grow, also over messages that come late and clocks that are set back."""
    before = estimator.current_watermark()
    if before is None or time > before:
        estimator.set_watermark(time)
