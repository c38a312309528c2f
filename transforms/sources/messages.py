"""Where in a topic a line came from, for blocks that are made of messages.

A message has no offset in anything, but an id that its topic gives to no other. A hash of that id takes the place of
an offset: the same message has the same place however often and by whichever job it is pulled, so that what is made of
places (`identity.payload_key`) stays the same when a message is delivered again.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dovebeam.transforms.values.timestamps import format_rfc3339

__all__ = ["MAX_MESSAGE_BYTES", "MessageOrigin", "message_at", "message_place", "places_in"]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The most that a message may hold when it is decompressed; Pub/Sub's own limit, of what it stores, is 10 MB."""

_HASH_BYTES: Final = 8
_SPARE_BITS: Final = 2  # so that the place of the last byte is a number of 63 bits, too


class MessageOrigin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message of a block.

    Attributes:
        start: where its payload begins in the block's data; less than 0 in a block that has only the rest of it.
        place: see `message_place`.
        message_id: as its topic named it.
        publish_time: microseconds since 1970.
        ordering_key: empty if it has none.
        attributes: what its publisher said of it.
    """

    start: int
    place: int
    message_id: str
    publish_time: int = 0
    ordering_key: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    def described(self, subscription: str) -> list[tuple[str, str]]:
        """All attributes for a reject, named as in the Avro files of a Cloud Storage subscription."""
        about = [("subscription_name", subscription), ("message_id", self.message_id)]
        about.append(("publish_time", format_rfc3339(self.publish_time)))
        if self.ordering_key:
            about.append(("ordering_key", self.ordering_key))
        return [*about, *self.attributes]


def message_place(message_id: str) -> int:
    """The number, of at most 62 bits, that stands for the offset of a message; those of its lines are added to it."""
    digest = hashlib.blake2b(message_id.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest) >> _SPARE_BITS


def places_in(messages: Sequence[MessageOrigin], offsets: Iterable[int]) -> list[int]:
    """The places of lines at these offsets of a block's data.

    Args:
        messages: of the block, at least one, the first of which starts at 0.
        offsets: of lines.
    """
    starts = [message.start for message in messages]
    places = []
    for offset in offsets:
        message = messages[bisect_right(starts, offset) - 1]
        places.append(message.place + offset - message.start)
    return places


def message_at(messages: Sequence[MessageOrigin], place: int) -> MessageOrigin | None:
    """The message that a line of this place belongs to; None if it is none of them.

    Looks at one after the other, since only what is rejected is looked up.
    """
    for message in messages:
        if 0 <= place - message.place < MAX_MESSAGE_BYTES:
            return message
    return None
