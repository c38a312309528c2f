"""Sources of streams: growing files, and messages of Google Pub/Sub, as unbounded collections of blocks.

A source is an unbounded splittable DoFn. Its restriction is a range of numbers of pieces, and one bundle reads one
piece: the files' state is saved, or the messages are acknowledged, when the bundle has succeeded. Where a piece begins
is known to the session of the worker's process, not to the restriction (docs/decisions/streams.md, "Restrictions hold
numbers, workers hold positions").
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.metrics import Metrics
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import progress
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS
from dovebeam.transforms.sources import Block, SourceError, printable_path
from dovebeam.transforms.sources.follow import FollowRequest
from dovebeam.transforms.sources.follow import Session as FollowSession
from dovebeam.transforms.sources.follow import session_of as follow_session_of
from dovebeam.transforms.sources.messages import MAX_MESSAGE_BYTES
from dovebeam.transforms.sources.pubsub import Pulled, SubscribeRequest, blocks_of, check_subscription, check_topic
from dovebeam.transforms.sources.pubsub import Session as SubscriptionSession
from dovebeam.transforms.sources.pubsub import session_of as subscription_session_of

__all__ = [
    "ENDLESS",
    "LAST_PIECE",
    "PieceNumbers",
    "PullFromPubSub",
    "ReadFromFollowedFiles",
    "ReadFromPubSub",
    "Segment",
]

LAST_PIECE: Final = 2**62
POLL_SECS: Final = 0.05
LINGER_SECS: Final = 0.2
"""How long a piece goes on after its first lines: a bundle costs as much as some hundred lines."""


class Segment(NamedTuple):
    """Range of a stream's pieces that one pipeline processes.

    Attributes:
        first: number of the first piece; it must be larger in the next pipeline of the same stream.
        max_pieces: maximum number of pieces; None for all.
        max_secs: time in seconds after which no further piece is started; None for no limit.
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
        # Beam's in-process runner needs a limit: it fails with RecursionError after about a thousand bundles.
        if self.max_pieces is not None and place - self.first + 1 >= self.max_pieces:
            return True
        return self.max_secs is not None and time.monotonic() - begun_at >= self.max_secs


ENDLESS: Final = Segment()


class PieceTracker(OffsetRestrictionTracker):
    """Tracker of pieces, which are done one after the other: a runner that wants a share for another worker gets none.

    Prism asks for one whenever a bundle takes longer than it likes; the second half of all numbers would be read at the
    same time as the first.
    """

    def try_split(self, fraction_of_remainder: float) -> Any:
        """Splits for the source itself, which defers all behind the piece in hand (0); not for a runner."""
        return super().try_split(0) if fraction_of_remainder == 0 else None


class PieceNumbers(RestrictionProvider):
    """Restrictions of a `Segment`: its numbers of pieces; a base class of the DoFns of sources."""

    def initial_restriction(self, element: Segment) -> OffsetRange:
        """All pieces from the first one on."""
        return OffsetRange(element.first, LAST_PIECE)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        """A tracker that no runner can split."""
        return PieceTracker(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:  # noqa: ARG002
        """A constant: how much will come is unknown."""
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """Leaves nothing to be read when a runner drains the job."""


def first_filled(read: Callable[[], Iterator[Any]], wait_secs: float) -> Iterator[Any]:
    """Items of `read`, until shortly after the first one; none if nothing comes in time or the job is drained.

    Args:
        read: looks once, without waiting.
        wait_secs: for how long to look again.
    """
    # Monotonic, so that a clock that is set back cannot make a piece endless.
    give_up, found = time.monotonic() + wait_secs, False
    while True:
        for each in read():
            if not found:
                found, give_up = True, time.monotonic() + LINGER_SECS
            yield each
        if progress.is_draining() or time.monotonic() >= give_up:
            return
        time.sleep(POLL_SECS)


_METRICS: Final = "dovebeam.reading"


@beam.typehints.with_output_types(Block)
class SourceFn(beam.DoFn, PieceNumbers):
    """Base of the DoFns that read streams; one bundle is one piece.

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
        """Moves to the start of the piece of this number."""

    @abstractmethod
    def read(self) -> Iterator[Block]:
        """Blocks that are there, within a bounded time."""

    @abstractmethod
    def end(self, place: int) -> Callable[[], None]:
        """Ends the piece; returns the function that acknowledges it."""

    @beam.DoFn.unbounded_per_element()  # type: ignore[untyped-decorator]
    def process(
        self,
        segment: Segment,
        # The class itself, and before the tracker: Beam 2.77 finds it only so.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(),  # noqa: B008
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),  # noqa: B008
    ) -> Iterator[Any]:
        """The blocks of the piece at which the tracker stands."""
        place = tracker.current_restriction().start
        if not tracker.try_claim(place):
            return
        self.begin(place, segment)
        # The counts of this bundle are kept when it is acknowledged; those of one that failed are dropped here.
        BUNDLE_COUNTERS.begin()
        # Before reading: a piece without blocks moves the watermark, too, so that windows end when nothing comes.
        earliest = _now()
        for block in self.read():
            self._blocks.inc()
            self._bytes.inc(len(block.data))
            published = _time_of(block)
            earliest = min(earliest, published)
            yield TimestampedValue(block, published)
        _advance(estimator, earliest)
        # After the bundle was committed: what is acknowledged earlier would be lost if a later step fails.
        finalizer.register(self.end(place))
        finalizer.register(BUNDLE_COUNTERS.keep)
        if segment.is_over(place, self._begun_at):
            # Claims all the rest, so that the restriction is done and the source ends.
            tracker.try_claim(LAST_PIECE)
            finalizer.register(progress.tell_drained)
        else:
            # Ends the bundle; the runner calls again for the next piece.
            tracker.defer_remainder()


class BlockSource(beam.PTransform):
    """Steps of a source of a stream; applied to a pipeline.

    Args:
        source: the DoFn that reads.
        segment: the pieces of the stream that this pipeline processes.
    """

    def __init__(self, source: SourceFn, segment: Segment = ENDLESS) -> None:
        super().__init__()
        self._source = source
        self._segment = segment

    def display_data(self) -> dict[str, Any]:
        """Description of the input for a runner's user interface."""
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
    """Moves the watermark forward; late messages and clocks that are set back do not move it."""
    before = estimator.current_watermark()
    if before is None or time > before:
        estimator.set_watermark(time)


# Bounds of a piece: what comes a second time after a failure, and how late a stop or a save may be.
_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_SECS: Final = 1.0
_WAIT_SECS: Final = 1.0


class ReadFromFollowedFiles(BlockSource):
    """Follows local files (`tail -F`) and reads the lines that are added to them, in blocks; applied to a pipeline.

    The state is saved when a bundle has succeeded. So after any stop, every line that may not have been delivered or
    rejected is read again: delivery is at least once, and only lines in flight can be delivered twice.

    Parallelism: one worker reads at a time, and needs access to the files and the state. To use other workers for later
    steps, put a `Reshuffle` in front of those steps; lines then count as delivered when they reach it.

    Args:
        request: what to follow, and where the state is.
        segment: the pieces of the stream that this pipeline processes.
    """

    def __init__(self, request: FollowRequest, segment: Segment = ENDLESS) -> None:
        super().__init__(_FollowFn(request), segment)


class _FollowFn(SourceFn):
    """Reads by the session of its process."""

    def __init__(self, request: FollowRequest) -> None:
        super().__init__()
        self._request = request

    def display_data(self) -> dict[str, Any]:
        """The files that are followed, and where the state is."""
        files = ", ".join(target.path for target in self._request.targets)
        return {"files": printable_path(files), "state": printable_path(self._request.directory)}

    def begin(self, place: int, segment: Segment) -> None:  # noqa: ARG002  places are kept over segments
        self._session: FollowSession = follow_session_of(self._request)
        self._session.begin(place)

    def read(self) -> Iterator[Block]:
        deadline = time.monotonic() + _WAIT_SECS + _MAX_SECS
        return first_filled(lambda: self._session.read(_MAX_BYTES, deadline), _WAIT_SECS)

    def end(self, place: int) -> Callable[[], None]:
        return self._session.end(place + 1)


class PullFromPubSub(BlockSource):
    """Pulls the messages of a Google Pub/Sub subscription and reads their lines in blocks; applied to a pipeline.

    A message is acknowledged when its bundle has succeeded, and its lease is extended until then. So after any stop,
    every message that may not have been delivered or rejected is received again: delivery is at least once.

    Parallelism: one worker reads. Several streams may read one subscription; Pub/Sub divides the messages among them.

    Args:
        request: what to read.
        segment: the pieces of the stream that this pipeline processes.
    """

    def __init__(self, request: SubscribeRequest, segment: Segment = ENDLESS) -> None:
        super().__init__(_PullFn(request), segment)


class _PullFn(SourceFn):
    """Reads by the session of its process."""

    def __init__(self, request: SubscribeRequest) -> None:
        super().__init__()
        self._request = request

    def display_data(self) -> dict[str, Any]:
        """The subscription that is read."""
        return {"subscription": self._request.subscription}

    def begin(self, place: int, segment: Segment) -> None:
        self._session: SubscriptionSession = subscription_session_of(self._request)
        self._session.begin(place, segment.first)

    def read(self) -> Iterator[Block]:
        yield from first_filled(lambda: self._session.read(_MAX_BYTES), _WAIT_SECS)
        # Messages that were pulled and not read yet would otherwise wait for their deadline to come again.
        if progress.is_draining():
            yield from self._session.read_rest()

    def end(self, place: int) -> Callable[[], None]:
        return self._session.end(place)


_USEC = 1_000_000


class ReadFromPubSub(beam.PTransform):
    """Reads Pub/Sub messages with the runner's own source, such as Dataflow's, each as a block; applied to a pipeline.

    The runner acknowledges a message when it has stored the results, reads with as many workers as it likes, and gives
    each element the publish time of its message. Origins of events are the same as with `PullFromPubSub`.

    Args:
        subscription: its full name.
        topic: the full name of a topic, instead of a subscription. The runner creates a subscription that lasts as long
            as the job.

    Raises:
        SourceError: the name is not valid.
    """

    def __init__(self, *, subscription: str | None = None, topic: str | None = None) -> None:
        super().__init__()
        if (subscription is None) == (topic is None):
            raise SourceError("name a subscription or a topic, and only one of them")
        self._subscription = None if subscription is None else check_subscription(subscription)
        self._topic = None if topic is None else check_topic(topic)

    def display_data(self) -> dict[str, Any]:
        """Description of the input for a runner's user interface."""
        return {"subscription": self._subscription} if self._subscription else {"topic": self._topic}

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class.

        Raises:
            TypeError: it was given to elements, not to a pipeline.
        """
        if not isinstance(pbegin, beam.pvalue.PBegin):
            raise TypeError("ReadFromPubSub is applied to a pipeline, not to a PCollection")
        # Loads Google's libraries, which other sources don't need.
        from apache_beam.io.gcp import pubsub  # noqa: PLC0415

        read = pubsub.ReadFromPubSub(subscription=self._subscription, topic=self._topic, with_attributes=True)
        to_block = beam.Map(_block, self._subscription or self._topic).with_output_types(Block)
        blocks: beam.PCollection[Block] = pbegin | "Receive" >> read | "To blocks" >> to_block
        return blocks


def _block(message: Any, source: str) -> Block:
    """One message as a block."""
    pulled = Pulled(
        "",
        message.message_id or "",
        message.data or b"",
        _usec(message.publish_time),
        message.ordering_key or "",
        tuple((message.attributes or {}).items()),
    )
    # One message is one block here: the limit of a piece is more than any message has.
    return next(blocks_of([pulled], source, piece_bytes=MAX_MESSAGE_BYTES))


def _usec(time: Any) -> int:
    """Microseconds since 1970 of a `datetime`, or of nothing."""
    return 0 if time is None else round(time.timestamp() * _USEC)
