"""Messages to blocks: payloads of one kind are put together, so that many events cost a runner as much as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, Literal, NamedTuple

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES, Block, MessageOrigin, message_place, unpacked_payload
from dovebeam.transforms.sources.pubsub.client import Pulled

__all__ = ["blocks_of"]

_Kind = Literal["json", "tab-text", "blank", "damaged"]

_BLANKS: Final = b" \t\r\n"
_LARGE_BYTES: Final = 1024 * 1024


class _Payload(NamedTuple):
    """What a message holds; of one that cannot be decompressed, its bytes and why."""

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
        messages: each one event's line or several lines, as JSON or as tab-text; compressed if they say so.
        subscription: what they were pulled from.
        block_bytes: no message is added to a block of that size.
        piece_bytes: a larger message comes in several blocks of about that size.
    """
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
    """One block in the making."""

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
    """The lines of a large message in blocks of their own; what is blank of them is no message without an event."""
    data, start = payload.data, 0
    while start < len(data):
        search = start + piece_bytes
        end = data.rfind(b"\n", start, search) + 1 or data.find(b"\n", search) + 1 or len(data)
        piece = data[start:end]
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
