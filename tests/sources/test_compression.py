"""gzip and zstd as streams: many members, damage, cut-off files, bombs."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.sources import Compression, FileStream, SourceError, decompress, detect_compression

LINES = b"".join(b'{"event":"e%d"}\n' % number for number in range(5000))
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def pack(data: bytes, compression: str) -> bytes:
    """Compressed in one piece."""
    return gzip.compress(data) if compression == "gzip" else zstandard.compress(data)


def unpack(data: bytes, compression: Compression, size: int = 1000) -> bytes:
    """Read to the end."""
    stream = decompress(FileStream(io.BytesIO(data), "file"), compression)
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (b"", "none"),
        (b'{"ev', "none"),
        (b"Obj\x01", "none"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x5f\x2a\x4d\x18", "zstd"),
        (b"\x28\xb5\x2f", "none"),
        (b"\x60\x2a\x4d\x18", "none"),
    ],
)
def test_compression_is_told_by_magic_bytes(head: bytes, compression: str) -> None:
    """Names of files play no part."""
    assert detect_compression(head) == compression


@pytest.mark.parametrize(
    ("data", "compression", "content"),
    [
        pytest.param(pack(b"", "gzip"), "gzip", b"", id="gzip-empty"),
        pytest.param(pack(LINES, "gzip"), "gzip", LINES, id="gzip"),
        pytest.param(pack(b"one\n", "gzip") * 3, "gzip", b"one\n" * 3, id="gzip-members"),
        pytest.param(
            pack(b"one\n", "gzip") + bytes(999) + pack(b"two\n", "gzip"), "gzip", b"one\ntwo\n", id="gzip-pad"
        ),
        pytest.param(pack(LINES, "gzip") + bytes(70_000), "gzip", LINES, id="gzip-long-pad"),
        pytest.param(pack(b"", "zstd"), "zstd", b"", id="zstd-empty"),
        pytest.param(pack(LINES, "zstd"), "zstd", LINES, id="zstd"),
        pytest.param(pack(b"one\n", "zstd") * 3, "zstd", b"one\n" * 3, id="zstd-frames"),
        pytest.param(SKIPPABLE + pack(b"one\n", "zstd") + SKIPPABLE, "zstd", b"one\n", id="zstd-skippable"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_content(data: bytes, compression: Compression, content: bytes, size: int) -> None:
    """All members and frames one after another, whatever sizes are asked for."""
    if size > 1 or len(content) < 1000:
        assert unpack(data, compression, size) == content


@given(st.lists(st.binary(max_size=300), max_size=5), st.sampled_from(["gzip", "zstd"]), st.integers(1, 500))
def test_any_content_in_any_number_of_sections(sections: list[bytes], compression: Compression, size: int) -> None:
    """Decompressing is the inverse of compressing section by section."""
    assert unpack(b"".join(pack(part, compression) for part in sections), compression, size) == b"".join(sections)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_every_cut_is_noticed(compression: Compression) -> None:
    """A file cut at any byte is an error with the place, unless the cut leaves whole members."""
    data = pack(b"one\n" * 9, compression) + pack(b"two\n", compression)
    first = len(pack(b"one\n" * 9, compression))
    for end in range(1, len(data)):
        if end != first:
            with pytest.raises(SourceError, match=rf"^file, byte {end}: the {compression} data is cut off"):
                unpack(data[:end], compression)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_damage_is_an_error(compression: Compression) -> None:
    """Garbage behind the data, and bytes that were changed, end in SourceError or in content, never otherwise."""
    with pytest.raises(SourceError, match="what follows is something else"):
        unpack(pack(LINES, compression) + b"garbage, not compressed", compression)
    data = pack(LINES, compression)
    for seed in range(300):
        damaged = bytearray(data)
        rng = random.Random(seed)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            unpack(bytes(damaged), compression)
        except SourceError as error:
            assert error.uri == "file"
            assert error.offset is not None


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_bombs_take_bounded_memory(compression: Compression) -> None:
    """Half a gigabyte of zeros, in a few KiB of file, is read in the memory of one piece."""
    packer = gzip.compress if compression == "gzip" else zstandard.compress
    chunk = packer(bytes(1 << 26))
    stream = decompress(FileStream(io.BytesIO(chunk * 8), "file"), compression)
    tracemalloc.start()
    total = 0
    while size := len(stream.read(1 << 20)):
        total += size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 1 << 29
    assert peak < 80_000_000
