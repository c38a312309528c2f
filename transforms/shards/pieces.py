"""Values that travel between the steps (frames, pieces, plans, written files), and the plan of files.

A frame is the smallest unit that is ordered: payloads of one path that came together, so a runner never divides them. A
piece is a run of frames in a part.
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
    "WrittenFile",
    "fingerprint_of",
    "plan_files",
]


class Framing(Protocol):
    """File format: converts payloads to frames; a file is a head and frames. Pickles."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The bytes of a frame."""
        ...  # pragma: no cover

    def head(self) -> bytes:
        """The bytes with which every file begins."""
        ...  # pragma: no cover

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time of the events, microseconds since 1970; None if a manifest needs none."""
        ...  # pragma: no cover


class Lines:
    """Framing as lines: each payload and a line feed, as Dovecot's `file` driver writes it."""

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """The lines."""
        return b"\n".join([*payloads, b""])

    def head(self) -> bytes:
        """Empty: lines have no head."""
        return b""

    def span(self, payloads: Sequence[bytes]) -> None:
        """None: the payloads of lines are not parsed for times."""


# Fingerprints, by which the content of a file is recognised.

COPY_BYTES: Final = 1024 * 1024
"""Bytes of a file that are in memory at a time."""


class Fingerprint(NamedTuple):
    """Size and SHA-256 (hex) of a file."""

    bytes: int
    sha256: str


def fingerprint_of(file: BinaryIO) -> Fingerprint:
    """Size and SHA-256 of a file, which is read to its end."""
    digest, size = hashlib.sha256(), 0
    while data := file.read(COPY_BYTES):
        digest.update(data)
        size += len(data)
    return Fingerprint(size, digest.hexdigest())


# Values between the steps. A large job has millions of frames, thousands in a piece, so their numbers are packed.

UNKNOWN_OFFSET: Final = -1
"""Offset of payloads whose place in a source is unknown."""

# The first five members of `Frame`, and its span. A fixed byte order, because workers may differ from each other.
_FRAME: Final = struct.Struct("<qIIQI")
_TIMES: Final = struct.Struct("<qq")


class Frame(NamedTuple):
    """Payloads that stay together, in the order of the source.

    Attributes:
        offset: of the first payload in the source; `UNKNOWN_OFFSET` if it is unknown.
        turn: number of the frame among those that payloads of one offset were cut into.
        check: CRC-32 of the bytes, which puts those of equal or unknown origin into some fixed order.
        size: number of bytes.
        events: number of payloads.
        span: earliest and latest time of the events, microseconds since 1970; None if the framing gives none.
    """

    offset: int
    turn: int
    check: int
    size: int
    events: int
    span: tuple[int, int] | None = None


# Files are ordered by comparing these tuples, so the order of the members is the order of events in a file: source,
# offset, turn. Two frames never have both part and begin in common, so `frame` itself is never compared.
class PlacedFrame(NamedTuple):
    """A frame with its source and its place in a part.

    Attributes:
        source_uri: the file that the events were read from, empty if unknown.
        offset: see `Frame`, also for `turn` and `check`.
        part: name of the part that holds it, relative to the base.
        begin: offset of its first byte in the part.
        frame: the frame itself.
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
        part: name of the part that holds them, relative to the base.
        begin: offset of their first byte in the part.
        index: the frames, packed.
        times: their spans, packed; empty unless all of them have one.
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
        # All or none: the packed spans have no numbers by which they could be matched to frames.
        times = b"".join(_TIMES.pack(*span) for span in spans) if len(spans) == len(frames) else b""
        return cls(path, source_uri, part, begin, index, times)

    @property
    def is_whole(self) -> bool:
        """Whether the packed frames can be unpacked; false if the piece was damaged on the disk."""
        return not len(self.index) % _FRAME.size and not len(self.times) % _TIMES.size

    def frames(self) -> Iterator[PlacedFrame]:
        """All frames with their places, in order."""
        begin = self.begin
        spans: Iterator[tuple[int, ...]] = _TIMES.iter_unpack(self.times)
        for offset, turn, check, size, events in _FRAME.iter_unpack(self.index):
            first, last = next(spans, (None, None))
            span = None if first is None or last is None else (first, last)
            frame = Frame(offset, turn, check, size, events, span)
            yield PlacedFrame(self.source_uri, offset, turn, check, self.part, begin, frame)
            begin += size


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """A range of bytes in a part.

    Attributes:
        part: name of the part, relative to the base.
        begin: offset of the first byte.
        size: number of bytes.
    """

    part: str
    begin: int
    size: int


class FilePlan(msgspec.Struct, frozen=True, array_like=True):
    """A file to be written.

    Attributes:
        name: its final name, relative to the base.
        extents: its content, in order.
        events: number of payloads in it.
        span: earliest and latest time of its events, microseconds since 1970; None unless known of all.
    """

    name: str
    extents: tuple[Extent, ...]
    events: int
    span: tuple[int, int] | None = None


class Existing(msgspec.Struct, frozen=True, array_like=True):
    """The file that had the final name when a new one was written.

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
        temporary: its present name, relative to the base.
        events: number of payloads in it.
        bytes: its size.
        sha256: of its bytes, in hex.
        span: earliest and latest time of its events, microseconds since 1970; None if unknown.
        existing: the file that had the final name then; None if there was none.
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


# The plan of files: frames in the order of the source, cut by size. It is the same for every division into bundles.

DEFAULT_FILE_BYTES: Final = 1024 * 1024 * 1024
"""Size limit of a file without `file_rotate_size`; files are written in parallel, so they should not be larger."""


class _Draft:
    """A planned file without a name, which has the number of files in it."""

    def __init__(self) -> None:
        self.size = 0
        self._events = 0
        self._extents: list[Extent] = []
        self._spans: list[tuple[int, int]] = []
        self._is_timed = True

    def add(self, placed: PlacedFrame) -> None:
        """Adds the next frame."""
        # Neighbours in a part become one extent, which is read in one go.
        frame, last = placed.frame, self._extents[-1] if self._extents else None
        if last is not None and last.part == placed.part and last.begin + last.size == placed.begin:
            self._extents[-1] = Extent(last.part, last.begin, last.size + frame.size)
        else:
            self._extents.append(Extent(placed.part, placed.begin, frame.size))
        self.size += frame.size
        self._events += frame.events
        self._is_timed = self._is_timed and frame.span is not None
        # At most one item, the span of all frames so far.
        if frame.span is not None:
            self._spans = [_joined(self._spans, frame.span)]

    def named(self, name: str) -> FilePlan:
        """The plan of the file with its final name."""
        span = self._spans[0] if self._spans and self._is_timed else None
        return FilePlan(name, tuple(self._extents), self._events, span)


def plan_files(path: str, pieces: Iterable[Piece], layout: Layout, max_bytes: int) -> list[FilePlan]:
    """Plans of all files of a path.

    Args:
        path: as routed.
        pieces: all pieces of the path from bundles that succeeded, in any order.
        layout: gives the names.
        max_bytes: size limit of a file before compression; only a frame that is larger exceeds it. 0 is the default.

    Raises:
        ValueError: there are too many files.
    """
    # A merge of sorted pieces holds one frame of each piece in memory, not all frames of the path.
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
