"""Payloads of messages as their publishers meant them: decompressed, within a limit.

Pub/Sub itself compresses nothing; publishers do, and say so by an attribute `Content-Encoding`, as in HTTP (RFC 9110,
section 8.4). Where attributes are lost, as in Avro files without metadata, the first bytes tell: no event begins as
gzip or zstd do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.sources.compression import MAGIC_BYTES, Compression, decompressed, detect_compression
from dovebeam.transforms.sources.errors import SourceError
from dovebeam.transforms.sources.messages import MAX_MESSAGE_BYTES

__all__ = ["is_compressed", "unpacked_payload"]

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
