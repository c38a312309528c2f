"""Bodies of requests as their senders meant them: decompressed, never to more than a limit."""

from __future__ import annotations

import io
import zlib
from typing import Final

from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.sources import FileStream, decompress

__all__ = ["ENCODINGS", "BrokenBodyError", "unpacked"]

ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""The values of Content-Encoding that can be undone."""

_STEP_BYTES: Final = 4096  # so that thousands of tiny gzip members cost no more than their bytes


class BrokenBodyError(DovebeamError):
    """A body that is not whole, or not what its header says."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The content of a body; of more than `limit` bytes only the first ones, and some more. Not for an event loop.

    Args:
        body: as it was sent.
        encoding: one of `ENCODINGS`.
        limit: so many bytes are enough.

    Raises:
        BrokenBodyError: it is cut off, damaged, or something follows its end.
    """
    if encoding in {"", "identity"}:
        return body
    return _inflated(body, limit) if encoding == "deflate" else _gunzipped(body, limit)


def _gunzipped(body: bytes, limit: int) -> bytes:
    if not body:
        raise BrokenBodyError("the gzip data is cut off")
    stream = decompress(_Steps(body), "gzip")
    try:
        content = stream.read(limit)
        if len(content) < limit:
            stream.read(1)  # raises what ended the content too early
    except DovebeamError as error:
        raise BrokenBodyError("the gzip data is damaged or cut off") from error
    return content


class _Steps(FileStream):
    """A stream of small pieces."""

    def __init__(self, body: bytes) -> None:
        super().__init__(io.BytesIO(body), "")

    def read(self, size: int, /) -> bytes:
        """Not more than a step at a time."""
        return super().read(min(size, _STEP_BYTES))


def _inflated(body: bytes, limit: int) -> bytes:
    """Of zlib's format, as the standard has it, or without its header, as some send it."""
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window_bits)
        try:
            content = unpacker.decompress(body, limit)
        except zlib.error:
            continue
        if len(content) >= limit or (unpacker.eof and not unpacker.unused_data):
            return content
    raise BrokenBodyError("the deflate data is damaged or cut off")
