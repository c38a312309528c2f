"""Blocks of Pub/Sub messages, and the session that hands them out to the short pieces of work of a stream.

The pieces are numbered. The messages of a piece are acknowledged when the runner reports that it succeeded. A piece
that is repeated, because it failed, first gets its messages again; the first piece of a new pipeline gets those that
the pipelines before it left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES, Block, MessageOrigin, message_place, unpacked_payload
from dovebeam.transforms.sources.pubsub.client import Pulled, SubscriptionClient
from dovebeam.transforms.sources.pubsub.puller import Puller, PullLimits

__all__ = ["Session", "SubscribeRequest", "blocks_of", "close_session", "session_of"]


_Kind = Literal["json", "tab-text", "blank", "damaged"]

_BLANKS: Final = b" \t\r\n"
_LARGE_BYTES: Final = 1024 * 1024  # bounds the memory for the events of one block


class _Payload(NamedTuple):
    """Decompressed payload of a message; if it cannot be decompressed, its bytes and the reason."""

    message: Pulled
    data: bytes
    kind: _Kind
    damage: str = ""


def blocks_of(
    messages: Iterable[Pulled],
    subscription: str,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    piece_bytes: int = _LARGE_BYTES,
) -> Iterator[Block]:
    """Blocks of these messages, in their order.

    Args:
        messages: with one or several lines each, as JSON or as tab-text, perhaps compressed.
        subscription: they were pulled from.
        block_bytes: no message is added to a block of that size.
        piece_bytes: a larger message comes in several blocks of about that size.
    """
    # A block has one format, and messages in it are all blank or none is; see `Block.messages`.
    for kind, group in groupby(map(_payload, messages), lambda payload: payload.kind):
        builder = _Builder(subscription, kind)
        for payload in group:
            if kind == "damaged":
                yield _damaged(payload, subscription)
                continue
            if len(payload.data) > piece_bytes and kind != "blank":
                if builder.size:
                    yield builder.block()
                    builder = _Builder(subscription, kind)
                yield from _pieces(payload, subscription, piece_bytes)
                continue
            builder.add(payload)
            if builder.size >= block_bytes:
                yield builder.block()
                builder = _Builder(subscription, kind)
        if builder.size:
            yield builder.block()


class _Builder:
    """Builder of one block."""

    def __init__(self, subscription: str, kind: _Kind) -> None:
        self._subscription = subscription
        self._kind = kind
        self._payloads: list[bytes] = []
        self._origins: list[MessageOrigin] = []
        self.size = 0

    def add(self, payload: _Payload) -> None:
        self._origins.append(_origin(payload.message, self.size))
        self._payloads.append(payload.data)
        self.size += len(payload.data) + 1

    def block(self) -> Block:
        data = b"\n".join([*self._payloads, b""])
        return Block(self._subscription, 0, data, _format(self._kind), messages=tuple(self._origins))


def _payload(message: Pulled) -> _Payload:
    try:
        data = unpacked_payload(message.data, message.attributes)
    except DecodeError as error:
        return _Payload(message, message.data, "damaged", error.reason)
    return _Payload(message, data, _kind(data))


def _pieces(payload: _Payload, subscription: str, piece_bytes: int) -> Iterator[Block]:
    """Blocks of the lines of a large message."""
    data, start = payload.data, 0
    while start < len(data):
        # Up to the last line feed within the size, or else to the end of the one line that is larger.
        search = start + piece_bytes
        end = data.rfind(b"\n", start, search) + 1 or data.find(b"\n", search) + 1 or len(data)
        piece = data[start:end]
        # A blank piece would become a reject, as a blank message does, although the message has events.
        if piece.strip(_BLANKS):
            origins = (_origin(payload.message, -start),)
            whole = piece if piece.endswith(b"\n") else piece + b"\n"
            yield Block(subscription, 0, whole, _format(payload.kind), messages=origins)
        start = end


def _damaged(payload: _Payload, subscription: str) -> Block:
    origins = (_origin(payload.message, 0),)
    return Block(subscription, 0, payload.data, "json", records=1, messages=origins, damage=payload.damage)


def _origin(message: Pulled, start: int) -> MessageOrigin:
    return MessageOrigin(
        start,
        message_place(message.message_id),
        message.message_id,
        message.publish_time,
        message.ordering_key,
        message.attributes,
    )


def _format(kind: _Kind) -> Literal["json", "tab-text"]:
    return "tab-text" if kind == "tab-text" else "json"


def _kind(data: bytes) -> _Kind:
    begin = data.lstrip(_BLANKS)[:1]
    if not begin:
        return "blank"
    return "json" if begin == b"{" else "tab-text"


# Sessions.

_ALL_BYTES: Final = 2**62
_MAX_PIECES: Final = 1000


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """The subscription of a stream; travels to the worker.

    Attributes:
        subscription: its full name.
        limits: limits for the messages that are held at the same time.
    """

    subscription: str
    limits: PullLimits = field(default_factory=PullLimits)


class Session:
    """The messages of a subscription, for the pieces of work of a stream.

    One thread at a time may read; acknowledgements may come from others.

    Args:
        request: the subscription.

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
        self._draining = False

    def begin(self, place: int, first: int) -> None:
        """Starts the piece of this number.

        Args:
            place: its number.
            first: the number of the first piece of this pipeline; earlier pieces that are left have failed.
        """
        with self._lock:
            failed = [number for number in self._pieces if number < first or number == place]
            messages = [message for number in sorted(failed) for message in self._pieces.pop(number)]
            self._piece = self._pieces[place] = []
            # A runner that never acknowledges must not make the memory grow; these leases ended long ago.
            if len(self._pieces) > _MAX_PIECES:
                del self._pieces[min(self._pieces)]
        self._size = 0
        if messages:
            self._puller.put_back(messages)

    def read(self, max_bytes: int) -> Iterator[Block]:
        """Blocks of the messages that are buffered now.

        Args:
            max_bytes: approximate limit for the payloads of this piece.

        Raises:
            SourceError: the subscription cannot be read.
        """
        messages = self._puller.take(max_bytes - self._size)
        self._piece.extend(messages)
        self._size += sum(len(message.data) for message in messages)
        return blocks_of(messages, self._subscription)

    def read_rest(self) -> Iterator[Block]:
        """Blocks of all buffered messages; stops pulling."""
        self._draining = True
        self._puller.stop()
        # Without a limit here, since the puller's own one bounds them.
        return self.read(self._size + _ALL_BYTES)

    def end(self, place: int) -> Callable[[], None]:
        """Ends the piece; returns the function that acknowledges its messages, to be called after their delivery."""
        piece = self._piece
        return lambda: self._acknowledge(place, piece)

    def close(self) -> None:
        """Acknowledges delivered messages and gives back the others; bounded in time."""
        self._puller.close()

    def _acknowledge(self, place: int, piece: list[Pulled]) -> None:
        with self._lock:
            # The piece was repeated meanwhile, and its messages belong to the repetition.
            if self._pieces.get(place) is not piece:
                return
            del self._pieces[place]
        self._puller.acknowledge(piece)
        # A drained stream ends soon after, perhaps before the puller's thread has sent the acknowledgements.
        if self._draining:
            self._puller.flush()


_sessions: Final[dict[SubscribeRequest, Session]] = {}
_sessions_lock: Final = threading.Lock()


def session_of(request: SubscribeRequest) -> Session:
    """The session of a request in this process, which is opened at the first call.

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
