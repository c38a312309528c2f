"""`PullFromPubSub`: messages of a Google Pub/Sub subscription as an unbounded source of blocks."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from dovebeam.transforms import progress
from dovebeam.transforms.read_from_streams import BlockSource, SourceFn
from dovebeam.transforms.sources import Block
from dovebeam.transforms.sources.pubsub import Session as SubscriptionSession
from dovebeam.transforms.sources.pubsub import SubscribeRequest
from dovebeam.transforms.sources.pubsub import session_of as subscription_session_of
from dovebeam.transforms.streaming.pieces import ENDLESS, Segment, first_filled

__all__ = ["PullFromPubSub"]

_MAX_BYTES: Final = 8 * 1024 * 1024
_WAIT_SECS: Final = 1.0


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
