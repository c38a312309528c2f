"""What travels between the steps: pieces of parts, and files made of them.

A frame is the smallest thing that is put in order: payloads of one path that came together, so never cut by a runner.
Pieces have thousands of frames; what must be known of each is packed, since a large job has millions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self

import msgspec

from dovebeam.transforms.shards.fingerprints import Fingerprint

__all__ = ["UNKNOWN_OFFSET", "Existing", "Extent", "FilePlan", "Frame", "Piece", "PlacedFrame", "WrittenFile"]

UNKNOWN_OFFSET: Final = -1
"""The offset of payloads that came from nowhere in particular."""

# offset, turn, check, size, events; and the times
_FRAME: Final = struct.Struct("<qIIQI")
_TIMES: Final = struct.Struct("<qq")


class Frame(NamedTuple):
    """Payloads that stay together, in the order of the source.

    Attributes:
        offset: where in the source the first of them was; `UNKNOWN_OFFSET` if nobody knows.
        turn: tells frames apart that payloads of one offset were cut into.
        check: CRC-32 of the bytes, which puts those of equal or unknown origin into some fixed order.
        size: how many bytes.
        events: how many payloads.
        span: earliest and latest time of the events, microseconds since 1970; None if nobody asked.
    """

    offset: int
    turn: int
    check: int
    size: int
    events: int
    span: tuple[int, int] | None = None


class PlacedFrame(NamedTuple):
    """A frame and where it is; the order of these is that of the events in a file.

    Attributes:
        source_uri: the file that the events were read from, empty if unknown.
        offset: see `Frame`, also for `turn` and `check`.
        part: the object that holds it, relative to the base.
        begin: its first byte in the part.
        frame: the rest.
    """

    source_uri: str
    offset: int
    turn: int
    check: int
    part: str
    begin: int
    frame: Frame


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Frames of one path and source that lie together in a part, in their order.

    Attributes:
        path: of the file, relative to the base, without marks of shards and compression.
        source_uri: the file that the events were read from, empty if unknown.
        part: the object that holds them, relative to the base.
        begin: first byte in the part.
        index: the frames, packed.
        times: their spans, packed; empty if nobody asked.
    """

    path: str
    source_uri: str
    part: str
    begin: int
    index: bytes
    times: bytes = b""

    @classmethod
    def of(cls, path: str, source_uri: str, part: str, begin: int, frames: Iterable[Frame]) -> Self:
        """A piece of frames in their order; spans are kept if all of them have one."""
        frames = list(frames)
        index = b"".join(_FRAME.pack(*frame[:5]) for frame in frames)
        spans = [frame.span for frame in frames if frame.span is not None]
        times = b"".join(_TIMES.pack(*span) for span in spans) if len(spans) == len(frames) else b""
        return cls(path, source_uri, part, begin, index, times)

    @property
    def is_whole(self) -> bool:
        """Whether what is packed can be unpacked; of one that was damaged on the disk it cannot."""
        return not len(self.index) % _FRAME.size and not len(self.times) % _TIMES.size

    def frames(self) -> Iterator[PlacedFrame]:
        """All frames, with their places."""
        begin = self.begin
        spans: Iterator[tuple[int, ...]] = _TIMES.iter_unpack(self.times)
        for offset, turn, check, size, events in _FRAME.iter_unpack(self.index):
            first, last = next(spans, (None, None))
            span = None if first is None or last is None else (first, last)
            frame = Frame(offset, turn, check, size, events, span)
            yield PlacedFrame(self.source_uri, offset, turn, check, self.part, begin, frame)
            begin += size


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of a part.

    Attributes:
        part: the object, relative to the base.
        begin: the first byte.
        size: how many.
    """

    part: str
    begin: int
    size: int


class FilePlan(msgspec.Struct, frozen=True, array_like=True):
    """A file to be written.

    Attributes:
        name: its final name, relative to the base.
        extents: what is in it, in order.
        events: how many payloads it will hold.
        span: earliest and latest time of its events, microseconds since 1970; None if not known of all.
    """

    name: str
    extents: tuple[Extent, ...]
    events: int
    span: tuple[int, int] | None = None


class Existing(msgspec.Struct, frozen=True, array_like=True):
    """What had the name of a file when that was written.

    Attributes:
        stamp: see `Store.stamp`.
        bytes: its size.
        sha256: of its bytes, in hex.
    """

    stamp: str
    bytes: int
    sha256: str

    @property
    def fingerprint(self) -> Fingerprint:
        """Size and checksum."""
        return Fingerprint(self.bytes, self.sha256)


class WrittenFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that was written under a temporary name and read back.

    Attributes:
        name: its final name, relative to the base.
        temporary: its name so far, relative to the base.
        events: how many payloads it holds.
        bytes: its size.
        sha256: of its bytes, in hex.
        span: earliest and latest time of its events, microseconds since 1970; None if unknown.
        existing: what had the final name then; None for nothing.
    """

    name: str
    temporary: str
    events: int
    bytes: int
    sha256: str
    span: tuple[int, int] | None = None
    existing: Existing | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """Size and checksum."""
        return Fingerprint(self.bytes, self.sha256)
