"""Messages as input: their payloads, decompressed within a limit, and where in a topic each line came from."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.values import format_rfc3339
from dovebeam.transforms.sources.compression import MAGIC_BYTES, Compression, decompressed, detect_compression
from dovebeam.transforms.sources.streams import SourceError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "MessageOrigin",
    "is_compressed",
    "message_at",
    "message_place",
    "places_in",
    "unpacked_payload",
]


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


# Payloads of messages as their publishers meant them: decompressed, within a limit.
#
# Pub/Sub itself compresses nothing; publishers do, and say so by an attribute `Content-Encoding`, as in HTTP (RFC
# 9110, section 8.4). Where attributes are lost, as in Avro files without metadata, the first bytes tell: no event
# begins as gzip or zstd do.

_ATTRIBUTE: Final = "content-encoding"
_ENCODINGS: Final[dict[str, Compression]] = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_NO_ENCODINGS: Final = frozenset({"", "identity"})
_MAX_ENCODINGS: Final = 3


def unpacked_payload(data: bytes, attributes: Iterable[tuple[str, str]]) -> bytes:
    """The payload of a message, decompressed if it is compressed.

    Args:
        data: as it was published.
        attributes: of the message.

    Raises:
        DecodeError: the data is not what the attribute says, is damaged, or holds more than `MAX_MESSAGE_BYTES`.
    """
    encodings = _encodings(attributes)
    if not encodings:
        compression = detect_compression(data[:MAGIC_BYTES])
        return data if compression == "none" else _unpacked(data, compression)
    if len(encodings) > _MAX_ENCODINGS:
        raise DecodeError(
            f"the message has {len(encodings)} Content-Encodings, and at most {_MAX_ENCODINGS} are undone"
        )
    for name in reversed(encodings):
        if name not in _ENCODINGS:
            raise DecodeError(
                f"the message has the Content-Encoding {name[:40]!r}; supported: {', '.join(sorted(_ENCODINGS))}"
            )
        data = _unpacked(data, _ENCODINGS[name])
    return data


def is_compressed(data: bytes, attributes: Iterable[tuple[str, str]]) -> bool:
    """Whether `unpacked_payload` has anything to decompress."""
    return bool(_encodings(attributes)) or detect_compression(data[:MAGIC_BYTES]) != "none"


def _encodings(attributes: Iterable[tuple[str, str]]) -> list[str]:
    """In the order in which they were applied."""
    given = [value for name, value in attributes if name.lower() == _ATTRIBUTE]
    names = [name.strip().lower() for value in given for name in value.split(",")]
    return [name for name in names if name not in _NO_ENCODINGS]


def _unpacked(data: bytes, compression: Compression) -> bytes:
    if detect_compression(data[:MAGIC_BYTES]) != compression:
        raise DecodeError(
            f"the message has the Content-Encoding {compression}, and its data does not begin as {compression}"
        )
    try:
        content = decompressed(data, compression, MAX_MESSAGE_BYTES + 1)
    except SourceError as error:
        raise DecodeError(f"the message cannot be decompressed: {error.message.split(';')[0]}") from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"the message holds more than {MAX_MESSAGE_BYTES} bytes when it is decompressed")
    return content
