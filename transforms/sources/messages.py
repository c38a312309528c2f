"""Messages as input: their origins, the places of their lines, and their payloads, decompressed within a limit."""

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
"""Size limit of a decompressed message; Pub/Sub's own limit, for messages as they are stored, is 10 MB."""

_HASH_BYTES: Final = 8
_SPARE_BITS: Final = 2  # so that the place of the last byte is a number of 63 bits, too


class MessageOrigin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Origin of one message of a block.

    Attributes:
        start: offset of its payload in the block's data; negative in a block that contains only the rest of the
            payload.
        place: number that identifies the message; the places of its lines are derived from it.
        message_id: id that the topic gave it.
        publish_time: microseconds since 1970.
        ordering_key: ordering key; empty if it has none.
        attributes: attributes that the publisher gave it.
    """

    start: int
    place: int
    message_id: str
    publish_time: int = 0
    ordering_key: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    def described(self, subscription: str) -> list[tuple[str, str]]:
        """Attributes for a reject, with the names of the Avro files that a Cloud Storage subscription writes."""
        about = [("subscription_name", subscription), ("message_id", self.message_id)]
        about.append(("publish_time", format_rfc3339(self.publish_time)))
        if self.ordering_key:
            about.append(("ordering_key", self.ordering_key))
        return [*about, *self.attributes]


def message_place(message_id: str) -> int:
    """Place of a message, a number of at most 62 bits; the offsets of its lines are added to it."""
    # A hash of the id and not an offset in a topic, which has none: the same message has the same place in each
    # delivery, so that duplicates are recognised by their keys.
    digest = hashlib.blake2b(message_id.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest) >> _SPARE_BITS


def places_in(messages: Sequence[MessageOrigin], offsets: Iterable[int]) -> list[int]:
    """Places of the lines at these offsets of a block's data.

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
    """The message that a line of this place belongs to; None if there is none."""
    # A linear search is enough, since only rejects are looked up.
    for message in messages:
        if 0 <= place - message.place < MAX_MESSAGE_BYTES:
            return message
    return None


# Compressed payloads. Pub/Sub itself compresses nothing; publishers do, and say so by an attribute `Content-Encoding`,
# as in HTTP (RFC 9110, section 8.4). Where attributes are lost, as in Avro files without metadata, the first bytes
# tell: no event begins like gzip or zstd data.

_ATTRIBUTE: Final = "content-encoding"
_ENCODINGS: Final[dict[str, Compression]] = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_NO_ENCODINGS: Final = frozenset({"", "identity"})
_MAX_ENCODINGS: Final = 3  # each one may multiply the work, and a message may name thousands


def unpacked_payload(data: bytes, attributes: Iterable[tuple[str, str]]) -> bytes:
    """The payload of a message, decompressed if it is compressed.

    Args:
        data: as it was published.
        attributes: of the message.

    Raises:
        DecodeError: the data contradicts the attribute, is damaged, or holds more than `MAX_MESSAGE_BYTES`.
    """
    encodings = _encodings(attributes)
    if not encodings:
        compression = detect_compression(data[:MAGIC_BYTES])
        return data if compression == "none" else _unpacked(data, compression)
    if len(encodings) > _MAX_ENCODINGS:
        raise DecodeError(
            f"the message has {len(encodings)} Content-Encodings, and at most {_MAX_ENCODINGS} are undone"
        )
    # The last one was applied last, so it is undone first.
    for name in reversed(encodings):
        if name not in _ENCODINGS:
            raise DecodeError(
                f"the message has the Content-Encoding {name[:40]!r}; supported: {', '.join(sorted(_ENCODINGS))}"
            )
        data = _unpacked(data, _ENCODINGS[name])
    return data


def is_compressed(data: bytes, attributes: Iterable[tuple[str, str]]) -> bool:
    """Whether `unpacked_payload` has to decompress a payload."""
    return bool(_encodings(attributes)) or detect_compression(data[:MAGIC_BYTES]) != "none"


def _encodings(attributes: Iterable[tuple[str, str]]) -> list[str]:
    """Names of the content encodings, in the order in which they were applied."""
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
    # Without the advice behind the semicolon, which is about files.
    except SourceError as error:
        raise DecodeError(f"the message cannot be decompressed: {error.message.split(';')[0]}") from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"the message holds more than {MAX_MESSAGE_BYTES} bytes when it is decompressed")
    return content
