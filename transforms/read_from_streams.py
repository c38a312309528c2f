"""Sources of streams: files that grow, and messages of Google Pub/Sub, as unbounded collections of blocks."""

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
from dovebeam.transforms.plan.decoding import TALLY
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
    "BlockSource",
    "PieceNumbers",
    "PullFromPubSub",
    "ReadFromFollowedFiles",
    "ReadFromPubSub",
    "Segment",
    "SourceFn",
]


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


# The frame of a source of a stream: its steps, and what a bundle does. See `pieces` for the idea.

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


# `ReadFromFollowedFiles`: local files that others write, as an unbounded source of blocks.

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_SECS: Final = 1.0
_WAIT_SECS: Final = 1.0


class ReadFromFollowedFiles(BlockSource):
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


# `PullFromPubSub`: messages of a Google Pub/Sub subscription as an unbounded source of blocks.


class PullFromPubSub(BlockSource):
    """Pulls the messages of a subscription and gives their lines in blocks; give it to a pipeline.

    A message is acknowledged when its bundle has succeeded, and its lease is extended until then. So after any stop,
    every message that was not delivered or rejected for sure comes again: at least once, twice only what was in hand.

    Parallelism: one worker reads. Several streams may read one subscription; Pub/Sub divides the messages among them.

    Args:
        request: what to read.
        segment: of the stream's pieces, those of this pipeline.
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
        if progress.is_draining():
            yield from self._session.read_rest()

    def end(self, place: int) -> Callable[[], None]:
        return self._session.end(place)


# `ReadFromPubSub`: messages of Google Pub/Sub, read by a runner that has a source for them, as Dataflow has.

_USEC = 1_000_000


class ReadFromPubSub(beam.PTransform):
    """Reads messages as Beam's `io.ReadFromPubSub` does and gives each as a block; give it to a pipeline.

    The runner acknowledges a message when it has stored what became of it, reads with as many workers as it likes, and
    gives each element its message's publish time. Origins of events are as those of `PullFromPubSub`.

    Args:
        subscription: its full name.
        topic: instead: the full name of a topic, for which the runner makes a subscription that lasts as long as the
            job.

    Raises:
        SourceError: a name that is none.
    """

    def __init__(self, *, subscription: str | None = None, topic: str | None = None) -> None:
        super().__init__()
        if (subscription is None) == (topic is None):
            raise SourceError("name a subscription or a topic, and only one of them")
        self._subscription = None if subscription is None else check_subscription(subscription)
        self._topic = None if topic is None else check_topic(topic)

    def display_data(self) -> dict[str, Any]:
        """What is read, for a runner's user interface."""
        return {"subscription": self._subscription} if self._subscription else {"topic": self._topic}

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[Block]:
        """Adds the steps; see the class.

        Raises:
            TypeError: it was given to elements, not to a pipeline.
        """
        if not isinstance(pbegin, beam.pvalue.PBegin):
            raise TypeError("ReadFromPubSub begins a pipeline, found a PCollection")
        from apache_beam.io.gcp import pubsub  # noqa: PLC0415  loads Google's libraries, which other sources don't need

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
    return next(blocks_of([pulled], source, piece_bytes=MAX_MESSAGE_BYTES))


def _usec(time: Any) -> int:
    """Microseconds since 1970 of a `datetime`, or of nothing."""
    return 0 if time is None else round(time.timestamp() * _USEC)
