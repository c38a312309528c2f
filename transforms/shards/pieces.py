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
    """

    path: str
    source_uri: str
    source_offset: int
    order: str
    part: str
    begin: int
    size: int
    events: int


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


class WrittenFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that was written under a temporary name and read back.

    Attributes:
        name: its final name, relative to the base.
        temporary: its name so far, relative to the base.
        events: how many payloads it holds.
        bytes: its size.
        sha256: of its bytes, in hex.
    """

    name: str
    temporary: str
    events: int
    bytes: int
    sha256: str
