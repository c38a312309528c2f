"""Decompression of files as streams: gzip with any number of members, zstd with any number of frames.

The compression is detected by the first bytes, never by the name. Memory is bounded whatever a file expands to. A file
that ends within compressed data is damaged: usually it is still being written, and what its missing rest holds cannot
be known. The content before the damage is returned before the error is raised.
"""

from __future__ import annotations

import abc
import io
import re
import zlib
from typing import TYPE_CHECKING, Final, Literal

from dovebeam.transforms.sources.streams import ByteStream, DamagedError, FileStream

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

__all__ = ["MAGIC_BYTES", "Compression", "decompress", "decompressed", "detect_compression", "foreign_packing"]

Compression = Literal["none", "gzip", "zstd"]

MAGIC_BYTES: Final = 6
_GZIP_MAGIC: Final = b"\x1f\x8b"
# A zstd file may begin with a skippable frame, as that of pzstd does.
_ZSTD_MAGIC: Final = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")

_FOREIGN: Final = (
    (b"BZh", "bzip2", "bunzip2"),
    (b"\xfd7zXZ\x00", "xz", "unxz"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4"),
    (b"PK\x03\x04", "zip", "unzip"),
    (b"\x1f\x9d", "compress", "uncompress"),
)

_GZIP_WINDOW_BITS: Final = 31  # zlib's number for "gzip header, largest window"
_READ_BYTES: Final = 64 * 1024
# zstd has no limit on what one call returns. Four bytes can stand for one block of 128 KiB, so that this much of a
# file expands to 32 MiB at most; smaller pieces are no slower, measured.
_ZSTD_PIECE_BYTES: Final = 1024


def detect_compression(head: bytes) -> Compression:
    """The compression of a file that begins with `head`; `MAGIC_BYTES` of it are enough."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if _ZSTD_MAGIC.match(head) else "none"


def foreign_packing(head: bytes) -> str:
    """Advice about a file that begins with `head` if its compression is not supported; else empty."""
    for magic, name, program in _FOREIGN:
        if head.startswith(magic):
            return (
                f"is compressed with {name}, which is not supported; unpack it with {program}, or compress it with "
                "gzip or zstd"
            )
    return ""


def decompress(stream: ByteStream, compression: Compression) -> ByteStream:
    """The uncompressed content of a stream that stands at its start.

    Reading it raises `DamagedError` where the data is damaged or ends too early.
    """
    if compression == "gzip":
        return _GzipStream(stream)
    return _ZstdStream(stream) if compression == "zstd" else stream


def decompressed(data: bytes, compression: Compression, limit: int) -> bytes:
    """The content of compressed bytes; if it is longer than `limit`, only its start, at least `limit` bytes of it.

    Raises:
        DamagedError: the data is damaged or ends too early.
    """
    stream = decompress(FileStream(io.BytesIO(data), ""), compression)
    content = stream.read(limit)
    if len(content) < limit:
        stream.read(1)  # raises what ended the content too early
    return content


class _Unpacked(abc.ABC):
    """Base of decompressing streams, which read section by section: gzip calls them members, zstd frames."""

    name: str

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.uri = stream.uri
        self._taken = 0
        self._produced = 0
        self._damage: DamagedError | None = None

    def read(self, size: int, /) -> bytes:
        """At least `size` bytes unless the content ends before."""
        parts: list[bytes] = []
        missing = size
        # Damage is kept for the next call if there is content before it, which is whole and must not be lost.
        while missing > 0 and self._damage is None:
            try:
                part = self._next(missing)
            except DamagedError as error:
                self._damage = error
                break
            if part is None:
                break
            parts.append(part)
            missing -= len(part)
            self._produced += len(part)
        data = b"".join(parts)
        if self._damage is not None and not data:
            raise self._damage
        return data

    @abc.abstractmethod
    def _next(self, size: int) -> bytes | None:
        """More content, possibly empty; None at the end of the file after a whole section."""

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._taken += len(data)
        return data

    def _error(self, what: str) -> DamagedError:
        return DamagedError(
            f"{what}, after {self._produced} bytes of content; a file that is still being written or was copied in "
            "part looks like this: export it again once it is whole",
            self.uri,
            self._taken,
        )

    def _followed(self, pending: int) -> DamagedError:
        return DamagedError(
            f"the {self.name} data ends here, after {self._produced} bytes of content, and what follows is something "
            f"else; cut it off, or pack what it holds with {self.name} as well",
            self.uri,
            self._taken - pending,
        )

    def _cut_off(self) -> DamagedError:
        return self._error(f"the {self.name} data is cut off")

    def _damaged(self, error: Exception) -> DamagedError:
        return self._error(f"the {self.name} data is damaged ({error})")


class _GzipStream(_Unpacked):
    name = "gzip"

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(stream)
        self._pending = b""
        self._member: zlib._Decompress | None = None

    def _next(self, size: int) -> bytes | None:
        if self._member is None and not self._find_member():
            return None
        member = self._member = self._member or zlib.decompressobj(_GZIP_WINDOW_BITS)
        # What the limit left undone comes before new bytes of the file.
        piece = self._pending or self._take(_READ_BYTES)
        try:
            data = member.decompress(piece, size)
        except zlib.error as error:
            raise self._damaged(error) from error
        # Behind a member there may be another one, as in a log to which gzip appended.
        if member.eof:
            self._pending, self._member = member.unused_data, None
        else:
            self._pending = member.unconsumed_tail
            if not piece and not data:
                raise self._cut_off()
        return data

    def _find_member(self) -> bool:
        """Skips zero bytes, with which tapes and block devices pad, to the next member; false at the end."""
        while True:
            self._pending = self._pending.lstrip(b"\0")
            if self._pending:
                if self._pending[:1] != _GZIP_MAGIC[:1]:
                    raise self._followed(len(self._pending))
                return True
            self._pending = self._take(_READ_BYTES)
            if not self._pending:
                return False


class _ZstdStream(_Unpacked):
    name = "zstd"

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(stream)
        import zstandard  # noqa: PLC0415  few files need it

        self._context = zstandard.ZstdDecompressor()
        self._zstd_error = zstandard.ZstdError
        self._buffer = b""
        self._position = 0
        self._frame: ZstdDecompressionObj | None = None

    def _next(self, size: int) -> bytes | None:  # noqa: ARG002  zstd cannot be told
        piece = self._buffer[self._position : self._position + _ZSTD_PIECE_BYTES]
        if not piece:
            self._buffer, self._position = self._take(_READ_BYTES), 0
            if self._buffer:
                return b""
            if self._frame is not None:
                raise self._cut_off()
            return None
        # Only at the start of a section is other data "something else"; within one it is damage.
        is_new = self._frame is None
        frame = self._frame = self._frame or self._context.decompressobj()
        try:
            data = frame.decompress(piece)
        except self._zstd_error as error:
            if is_new and self._taken - len(self._buffer) + self._position > 0 and not _ZSTD_MAGIC.match(piece):
                raise self._followed(len(self._buffer) - self._position) from error
            raise self._damaged(error) from error
        self._position += len(piece)
        if frame.eof:
            self._position -= len(frame.unused_data)
            self._frame = None
        return data
