"""A subscription over the many short pieces of work that a runner makes of a stream.

The pieces are numbered. What a piece has read is acknowledged when the runner says that it succeeded. A piece that is
begun again, because it failed, first gets what it had before; so does the first piece of a new pipeline, which gets
what the pipelines before it left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.pubsub.blocks import blocks_of
from dovebeam.transforms.sources import Block
from dovebeam.transforms.sources.pubsub.client import Pulled, SubscriptionClient
from dovebeam.transforms.sources.pubsub.puller import Puller, PullLimits

__all__ = ["Session", "SubscribeRequest", "close_session", "session_of"]

_ALL_BYTES: Final = 2**62
_MAX_PIECES: Final = 1000


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """What a stream reads; travels to the worker.

    Attributes:
        subscription: its full name.
        limits: how much is held at a time.
    """

    subscription: str
    limits: PullLimits = field(default_factory=PullLimits)


class Session:
    """See the module. One thread at a time may read; acknowledgements may come from others.

    Args:
        request: what to read.

    Raises:
        SourceError: the library or credentials are missing.
    """

    def __init__(self, request: SubscribeRequest) -> None:
        self._subscription: Final = request.subscription
        self._puller: Final = Puller(SubscriptionClient(request.subscription), request.limits)
        self._pieces: Final[dict[int, list[Pulled]]] = {}
        self._lock: Final = threading.Lock()
        self._piece: list[Pulled] = []
        self._size = 0
        self._resting = False

    def begin(self, place: int, first: int) -> None:
        """Begins the piece of this number.

        Args:
            place: its number.
            first: the number of the first piece of this pipeline. What is left of earlier ones has failed.
        """
        with self._lock:
            failed = [number for number in self._pieces if number < first or number == place]
            messages = [message for number in sorted(failed) for message in self._pieces.pop(number)]
            self._piece = self._pieces[place] = []
            if len(self._pieces) > _MAX_PIECES:  # a runner that never acknowledges; their leases ended long ago
                del self._pieces[min(self._pieces)]
        self._size = 0
        if messages:
            self._puller.put_back(messages)

    def read(self, max_bytes: int) -> Iterator[Block]:
        """What is there now, in blocks.

        Args:
            max_bytes: of payloads in this piece, about.

        Raises:
            SourceError: the subscription cannot be read.
        """
        messages = self._puller.take(max_bytes - self._size)
        self._piece.extend(messages)
        self._size += sum(len(message.data) for message in messages)
        return blocks_of(messages, self._subscription)

    def read_rest(self) -> Iterator[Block]:
        """All that was pulled, which has a bound of its own; nothing is pulled any more."""
        self._resting = True
        self._puller.stop()
        return self.read(self._size + _ALL_BYTES)

    def end(self, place: int) -> Callable[[], None]:
        """What is to be called when all that was read since `begin` was delivered."""
        piece = self._piece
        return lambda: self._acknowledge(place, piece)

    def close(self) -> None:
        """Acknowledges what was delivered, gives back the rest; bounded in time."""
        self._puller.close()

    def _acknowledge(self, place: int, piece: list[Pulled]) -> None:
        with self._lock:
            if self._pieces.get(place) is not piece:  # begun again meanwhile, so that its messages are of another piece
                return
            del self._pieces[place]
        self._puller.acknowledge(piece)
        if self._resting:  # the process may end any moment
            self._puller.flush()


_sessions: Final[dict[SubscribeRequest, Session]] = {}
_sessions_lock: Final = threading.Lock()


def session_of(request: SubscribeRequest) -> Session:
    """The session of a request in this process, which is opened when it is asked for first.

    Raises:
        SourceError: it cannot be opened.
    """
    with _sessions_lock:
        session = _sessions.get(request)
        if session is None:
            session = _sessions[request] = Session(request)
        return session


def close_session(request: SubscribeRequest) -> None:
    """Closes the session of this process, if there is one."""
    with _sessions_lock:
        session = _sessions.pop(request, None)
    if session is not None:
        session.close()
