"""What travels between the steps: pieces of parts, and files made of them."""

from __future__ import annotations

import msgspec

__all__ = ["FilePlan", "Part", "Piece", "WrittenFile"]


class Piece(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Payloads that lie together in a part and belong into one file. Its order is that of the events in the source.

    Attributes:
        path: of the file, relative to the base, without marks of shards and compression.
        source_uri: the file that the events were read from, empty if unknown.
        source_offset: where in there the first of them was; -1 if unknown.
        order: tells pieces of equal origin apart; of events without origin, a hash of the first.
        part: the object that holds it, relative to the base.
        begin: first byte in the part.
        size: how many bytes.
        events: how many payloads.
        span: earliest and latest time of the events, microseconds since 1970; None if nobody asked.
    """

    path: str
    source_uri: str
    source_offset: int
    order: str
    part: str
    begin: int
    size: int
    events: int
    span: tuple[int, int] | None = None


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What a bundle wrote.

    Attributes:
        pieces: all of them, in the order in which they lie in the part.
    """

    pieces: tuple[Piece, ...]


class FilePlan(msgspec.Struct, frozen=True, array_like=True):
    """A file to be written.

    Attributes:
        name: its final name, relative to the base.
        pieces: what is in it, in order.
    """

    name: str
    pieces: tuple[Piece, ...]

    @property
    def events(self) -> int:
        """How many payloads it will hold."""
        return sum(piece.events for piece in self.pieces)

    @property
    def span(self) -> tuple[int, int] | None:
        """Earliest and latest time of its events, as far as they are known."""
        spans = [piece.span for piece in self.pieces if piece.span is not None]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None


class WrittenFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that was written under a temporary name and read back.

    Attributes:
        name: its final name, relative to the base.
        temporary: its name so far, relative to the base.
        events: how many payloads it holds.
        bytes: its size.
        sha256: of its bytes, in hex.
        span: earliest and latest time of its events, microseconds since 1970; None if unknown.
    """

    name: str
    temporary: str
    events: int
    bytes: int
    sha256: str
    span: tuple[int, int] | None = None
