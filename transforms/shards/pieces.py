"""What travels between the steps: pieces of parts, and files made of them.

A frame is the smallest thing that is put in order: payloads of one path that came together, so never cut by a runner.
Pieces have thousands of frames; what must be known of each is packed, since a large job has millions.
"""

from __future__ import annotations

import hashlib
import heapq
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple, Protocol, Self

import msgspec

from dovebeam.transforms.shards.layout import Layout

__all__ = [
    "COPY_BYTES",
    "UNKNOWN_OFFSET",
    "Existing",
    "Extent",
    "FilePlan",
    "Fingerprint",
    "Frame",
    "Framing",
    "Lines",
    "Piece",
    "PlacedFrame",
    "WrittenFile",
    "fingerprint_of",
    "plan_files",
]


class Framing(Protocol):
    """Makes pieces of payloads; a file is a head and pieces. Pickles."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The bytes of a piece."""
        ...  # pragma: no cover

    def head(self) -> bytes:
        """What every file begins with."""
        ...  # pragma: no cover

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time of the events, microseconds since 1970; None if a manifest needs none."""
        ...  # pragma: no cover


class Lines:
    """Each payload and a newline, as Dovecot's `file` driver writes it."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The lines."""
        return b"\n".join([*payloads, b""])

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def span(self, payloads: Sequence[bytes]) -> None:
        """Not asked for: lines are not looked into."""


# What tells the content of one file from that of another.

COPY_BYTES: Final = 1024 * 1024
"""How much of a file is in memory at a time."""


class Fingerprint(NamedTuple):
    """Size and SHA-256 (hex) of a file."""

    bytes: int
    sha256: str


def fingerprint_of(file: BinaryIO) -> Fingerprint:
    """Reads a file to its end and says what it is."""
    digest, size = hashlib.sha256(), 0
    while data := file.read(COPY_BYTES):
        digest.update(data)
        size += len(data)
    return Fingerprint(size, digest.hexdigest())


# What travels between the steps: pieces of parts, and files made of them.
#
# A frame is the smallest thing that is put in order: payloads of one path that came together, so never cut by a
# runner. Pieces have thousands of frames; what must be known of each is packed, since a large job has millions.

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


# Which frames make which file: the order of the source, cut by size, the same for every way to make bundles.

DEFAULT_FILE_BYTES: Final = 1024 * 1024 * 1024
"""Where a file ends if `file_rotate_size` says nothing; files are written in parallel, so they should not be larger."""


class _Draft:
    """A file that gets its name when it is known how many there are."""

    def __init__(self) -> None:
        self.size = 0
        self._events = 0
        self._extents: list[Extent] = []
        self._spans: list[tuple[int, int]] = []
        self._is_timed = True

    def add(self, placed: PlacedFrame) -> None:
        """The next frame; one that follows the last in the same part is read together with it."""
        frame, last = placed.frame, self._extents[-1] if self._extents else None
        if last is not None and last.part == placed.part and last.begin + last.size == placed.begin:
            self._extents[-1] = Extent(last.part, last.begin, last.size + frame.size)
        else:
            self._extents.append(Extent(placed.part, placed.begin, frame.size))
        self.size += frame.size
        self._events += frame.events
        self._is_timed = self._is_timed and frame.span is not None
        if frame.span is not None:
            self._spans = [_joined(self._spans, frame.span)]

    def named(self, name: str) -> FilePlan:
        """The plan."""
        span = self._spans[0] if self._spans and self._is_timed else None
        return FilePlan(name, tuple(self._extents), self._events, span)


def plan_files(path: str, pieces: Iterable[Piece], layout: Layout, max_bytes: int) -> list[FilePlan]:
    """All files of a path.

    Args:
        path: as routed.
        pieces: all that bundles which succeeded wrote for it, in any order.
        layout: gives the names.
        max_bytes: a file that has anything gets no further frame beyond it; sizes are those before compression. 0 is
            the default.

    Raises:
        ValueError: there are more files than names.
    """
    drafts = list(_cut(heapq.merge(*(piece.frames() for piece in pieces)), max_bytes or DEFAULT_FILE_BYTES))
    return [draft.named(layout.final(path, number, len(drafts))) for number, draft in enumerate(drafts)]


def _cut(frames: Iterable[PlacedFrame], max_bytes: int) -> Iterator[_Draft]:
    draft: _Draft | None = None
    for placed in frames:
        if draft is not None and draft.size + placed.frame.size > max_bytes:
            yield draft
            draft = None
        draft = draft or _Draft()
        draft.add(placed)
    if draft is not None:
        yield draft


def _joined(spans: list[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int]:
    return min(first for first, _ in [*spans, span]), max(last for _, last in [*spans, span])
