"""Compression of files that are appended to: each batch is a gzip member or a zstd frame of its own.

A file of several members or frames is one file to `zcat` and `zstdcat`, so a batch can be added, and a torn one taken
back, without a look at the others. Headers are enough to find the end of the last whole one: a zstd frame has the
lengths of its blocks, and a gzip member of dovebeam has its length in an extra field (RFC 1952, section 2.3.1.1).
Members of other programs are decompressed to find their end.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

import zstandard

__all__ = ["DamagedError", "pack", "whole_end"]

ReadAt = Callable[[int, int], bytes]
"""Reads at an offset a number of bytes, fewer at the end of the file."""

_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
# ID1 ID2 CM FLG=FEXTRA MTIME XFL OS=unknown, XLEN, and one subfield "DB" with the length of the whole member.
_GZIP_HEADER: Final = struct.Struct("<3sBIBBH2sHI")
_EXTRA: Final = 4
_SUBFIELD: Final = (8, b"DB", 4)
_GZIP_TRAILER: Final = struct.Struct("<II")
# RFC 8878: magic numbers (little-endian; a skippable one has 0x50 to 0x5f before these bytes), and block types.
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"
_ZSTD_HEADER_MAX: Final = 18
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3
_CHUNK_BYTES: Final = 256 * 1024
# The defaults of `gzip` and `zstd`.
_GZIP_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3


class DamagedError(ValueError):
    """A file with bytes that are neither of its compression nor the torn end of a member or frame.

    Attributes:
        offset: of the first such byte, or of the member or frame that has it.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def pack(lines: bytes, compression: str) -> bytes:
    """The bytes to append for some lines: themselves, a gzip member or a zstd frame with a checksum."""
    if compression == "gzip":
        return _gzip_member(lines)
    if compression == "zstd":
        # A gzip member always has a checksum; zstd's is off by default in the library, and on in the `zstd` command.
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(lines)
    return lines


def whole_end(read_at: ReadAt, begin: int, size: int, compression: str) -> int:
    """End of the last whole member or frame; what follows is the torn start of one, or nothing.

    Args:
        read_at: reads the file.
        begin: start of a member or frame, or `size`.
        size: of the file, bytes.
        compression: "gzip" or "zstd".

    Raises:
        DamagedError: something else stands between `begin` and the end.
    """
    next_end = _gzip_end if compression == "gzip" else _zstd_end
    at = begin
    while at < size:
        end = next_end(read_at, at)
        if end is None or end > size:
            break
        at = end
    return at


def _gzip_member(lines: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(lines) + packer.flush()
    # Without a time in the header (MTIME 0), so that the same lines give the same bytes.
    length = _GZIP_HEADER.size + len(body) + _GZIP_TRAILER.size
    header = _GZIP_HEADER.pack(_GZIP_MAGIC, _EXTRA, 0, 0, 255, *_SUBFIELD, length)
    return header + body + _GZIP_TRAILER.pack(zlib.crc32(lines), len(lines) & 0xFFFFFFFF)


def _gzip_end(read_at: ReadAt, at: int) -> int | None:
    """End of the member at an offset, perhaps beyond the end of the file; None if the file ends inside it."""
    header = read_at(at, _GZIP_HEADER.size)
    _check_magic(header, (_GZIP_MAGIC,), at)
    if len(header) < _GZIP_HEADER.size:
        return _foreign_gzip_end(read_at, at)
    _, flags, _, _, _, *subfield, length = _GZIP_HEADER.unpack(header)
    if flags == _EXTRA and tuple(subfield) == _SUBFIELD:
        # A damaged length must not let the search go back or stand still.
        if length <= _GZIP_HEADER.size:
            raise DamagedError(at)
        return at + int(length)
    return _foreign_gzip_end(read_at, at)


def _foreign_gzip_end(read_at: ReadAt, at: int) -> int | None:
    """As `_gzip_end`, of a member that another program made: its end is known only after decompressing it."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    position, rest = at, b""
    while not unpacker.eof:
        chunk = rest or read_at(position, _CHUNK_BYTES)
        if not chunk:
            return None
        position += 0 if rest else len(chunk)
        try:
            # Limited, so that a member that is a decompression bomb takes time, but no memory.
            unpacker.decompress(chunk, _CHUNK_BYTES)
        except zlib.error:
            raise DamagedError(at) from None
        rest = unpacker.unconsumed_tail
    return position - len(unpacker.unused_data)


def _zstd_end(read_at: ReadAt, at: int) -> int | None:
    """As `_gzip_end`, of a zstd frame (RFC 8878, section 3.1)."""
    header = read_at(at, _ZSTD_HEADER_MAX)
    # Skippable frames are whatever their writer likes; only their length counts.
    if header[1:4] == _ZSTD_SKIPPABLE and header[0] >> 4 == 5:
        return at + 8 + int.from_bytes(header[4:8], "little") if len(header) >= 8 else None
    _check_magic(header, (_ZSTD_MAGIC, *(bytes([0x50 | n]) + _ZSTD_SKIPPABLE for n in range(16))), at)
    try:
        position = at + zstandard.frame_header_size(header)
        has_checksum = zstandard.get_frame_parameters(header).has_checksum
    except zstandard.ZstdError:
        # A header that is cut off is the torn end of the file, one that is whole is damaged.
        if len(header) < _ZSTD_HEADER_MAX:
            return None
        raise DamagedError(at) from None
    last = False
    while not last:
        block = read_at(position, 3)
        if len(block) < 3:
            return None
        bits = int.from_bytes(block, "little")
        last, kind, length = bool(bits & 1), bits >> 1 & 3, bits >> 3
        if kind == _RESERVED_BLOCK:
            raise DamagedError(position)
        # An RLE block is one byte, which is repeated `length` times.
        position += 3 + (1 if kind == _RLE_BLOCK else length)
    return position + (4 if has_checksum else 0)


def _check_magic(found: bytes, known: tuple[bytes, ...], at: int) -> None:
    # At the end of a file even a part of a magic number may be all there is.
    if not any(found[: len(magic)] == magic[: len(found)] for magic in known):
        raise DamagedError(at)
