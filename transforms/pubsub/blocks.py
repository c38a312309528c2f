"""Messages to blocks: payloads of one kind are put together, so that many events cost a runner as much as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, Literal

from dovebeam.transforms.pubsub.client import Pulled
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES, Block, MessageOrigin, message_place

__all__ = ["blocks_of"]

_Kind = Literal["json", "tab-text", "blank"]

_BLANKS: Final = b" \t\r\n"


def blocks_of(messages: Iterable[Pulled], subscription: str, block_bytes: int = DEFAULT_BLOCK_BYTES) -> Iterator[Block]:
    """Blocks of these messages, in their order.

    Args:
        messages: each one event's line or several lines, as JSON or as tab-text.
        subscription: what they were pulled from.
        block_bytes: no message is added to a block of that size.
    """
    for kind, group in groupby(messages, lambda message: _kind(message.data)):
        builder = _Builder(subscription, kind)
        for message in group:
            builder.add(message)
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

    def add(self, message: Pulled) -> None:
        self._origins.append(
            MessageOrigin(
                self.size,
                message_place(message.message_id),
                message.message_id,
                message.publish_time,
                message.ordering_key,
                message.attributes,
            )
        )
        self._payloads.append(message.data)
        self.size += len(message.data) + 1

    def block(self) -> Block:
        data = b"\n".join([*self._payloads, b""])
        format_: Literal["json", "tab-text"] = "tab-text" if self._kind == "tab-text" else "json"
        return Block(self._subscription, 0, data, format_, messages=tuple(self._origins))


def _kind(data: bytes) -> _Kind:
    begin = data.lstrip(_BLANKS)[:1]
    if not begin:
        return "blank"
    return "json" if begin == b"{" else "tab-text"
