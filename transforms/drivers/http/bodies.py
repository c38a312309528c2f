"""The bodies of requests: one payload as Dovecot sends it, or several framed as lines or as a JSON array, compressed.

With one event a request and nothing else asked for, the body is the payload and the Content-Type is Dovecot's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import zstandard

__all__ = ["BATCH_FORMATS", "COMPRESSIONS", "CONTENT_TYPES", "LINE_CONTENT_TYPES", "BodyMaker", "frame_bytes"]

CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"json": "application/json", "tab-text": "text/plain", "none": "application/octet-stream"}
)
"""Dovecot's content type for each format."""

LINE_CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType({**CONTENT_TYPES, "json": "application/x-ndjson"})
"""The content types of bodies of lines."""

BATCH_FORMATS: Final = ("lines", "array")
COMPRESSIONS: Final = ("none", "gzip", "zstd")

_GZIP_LEVEL: Final = 4  # the best ratio that does not cost more than sending
_ZSTD_LEVEL: Final = 3
_GZIP_WBITS: Final = 31


def frame_bytes(payloads: int) -> int:
    """How many bytes framing adds to so many payloads, whatever the framing: one each, and one to begin with."""
    return payloads + 1


class BodyMaker:
    """Makes bodies and says what their headers are.

    Attributes:
        content_type: the value of Content-Type.
        content_encoding: the value of Content-Encoding, empty without compression.
        plain: whether a body is one payload and nothing else.
    """

    def __init__(
        self, payload_format: str, *, batched: bool, batch_format: str, compression: str, content_type: str = ""
    ) -> None:
        lines = batch_format == "lines"
        framed = batched or not lines
        types = LINE_CONTENT_TYPES if framed and lines else CONTENT_TYPES
        self.content_type = content_type or types[payload_format]
        self.content_encoding = "" if compression == "none" else compression
        self.plain = not framed and not self.content_encoding
        self._frame = (_lines if lines else _array) if framed else _only
        self._compress = _COMPRESSORS[compression]

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The body of a request with these payloads; the same bytes whenever they are the same."""
        return self._compress(self._frame(payloads))


def _only(payloads: Sequence[bytes]) -> bytes:
    return payloads[0]


def _lines(payloads: Sequence[bytes]) -> bytes:
    """JSON Lines and the like: every line ends, the last one too."""
    return b"\n".join((*payloads, b""))


def _array(payloads: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(payloads) + b"]"


def _gzip(body: bytes) -> bytes:
    # Without a time and a name in its head, so that equal bodies stay equal.
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


def _as_it_is(body: bytes) -> bytes:
    return body


_COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"none": _as_it_is, "gzip": _gzip, "zstd": _zstd}
)
