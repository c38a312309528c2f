"""The part of a bundle: one object for all files, written while payloads come, with an account of what is where."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from dovebeam.transforms.shards.framing import Framing
from dovebeam.transforms.shards.pieces import Part, Piece
from dovebeam.transforms.shards.store import Store

__all__ = ["Origin", "PartWriter"]

# Payloads of one path and source are collected, so that a part has few pieces; that much is in memory at most.
_HELD_BYTES: Final = 8 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024
# A source is split among bundles only at multiples of whole blocks; pieces do not reach over such borders (and never
# over 64 MiB, the shards of a large file), so that pieces of other bundles never belong into the middle of one.
_RANGE_BYTES: Final = 64 * 1024 * 1024
_NOWHERE: Final = -1

Origin = tuple[str, int]
"""A source and the offset in it; an empty one and -1 if unknown."""


class _Held:
    """Payloads of one path and one range of a source."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.last = origin[1]
        self.payloads: list[bytes] = []
        self.size = 0


class PartWriter:
    """Writes one part.

    Args:
        store: where.
        name: of the part; it is created with the first payload.
        framing: makes pieces of payloads.
        piece_bytes: no piece is larger, unless a single payload is; 0 for a default.
    """

    def __init__(self, store: Store, name: str, framing: Framing, piece_bytes: int = 0) -> None:
        self._store = store
        self._name = name
        self._framing = framing
        self._piece_bytes = min(piece_bytes, _PIECE_BYTES) if piece_bytes else _PIECE_BYTES
        self._exact = bool(piece_bytes)
        self._held: dict[str, _Held] = {}
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._end = 0
        self._pieces: list[Piece] = []

    def add(self, path: str, payloads: Sequence[bytes], origin: Origin) -> None:
        """Takes payloads of one path that follow each other in the source, the first at `origin`.

        Raises:
            DeliveryError: the part cannot be written.
        """
        held = self._held.get(path)
        if held is None or not self._continues(held, origin):
            self._flush(path)
            held = self._held[path] = _Held(origin)
        held.last = origin[1]
        for payload in payloads:
            if held.payloads and held.size + len(payload) + 1 > self._piece_bytes:
                self._flush(path)
                held = self._held[path] = _Held(origin)
            held.payloads.append(payload)
            held.size += len(payload) + 1
            self._held_bytes += len(payload) + 1
        if self._held_bytes > _HELD_BYTES:
            self._flush_all()

    def finish(self) -> Part:
        """The account of the part, once all of it is in the store.

        Raises:
            DeliveryError: it is not.
        """
        self._flush_all()
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
        return Part(tuple(self._pieces))

    def abandon(self) -> None:
        """Closes what a failed bundle left open; what it wrote is never named."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(Exception):
                file.close()

    def _continues(self, held: _Held, origin: Origin) -> bool:
        """Whether what begins at `origin` may be in one piece with what is held."""
        source, offset = origin
        if self._exact and offset != _NOWHERE:
            return False  # cut points must not depend on what a bundle happened to hold before
        if source != held.origin[0]:
            return False
        return offset >= held.last and offset // _RANGE_BYTES == held.origin[1] // _RANGE_BYTES

    def _flush_all(self) -> None:
        for path in list(self._held):
            self._flush(path)

    def _flush(self, path: str) -> None:
        held = self._held.pop(path, None)
        if held is None or not held.payloads:
            return
        if self._file is None:
            self._file = self._store.create(self._name, is_part=True)
        data = self._framing.frame(held.payloads)
        self._file.write(data)
        source, offset = held.origin
        order = self._order(held)
        span = self._framing.span(held.payloads)
        piece = Piece(path, source, offset, order, self._name, self._end, len(data), len(held.payloads), span)
        self._pieces.append(piece)
        self._end += len(data)
        self._held_bytes -= held.size

    def _order(self, held: _Held) -> str:
        """Pieces that were cut from payloads of one origin are numbered; without origin, the content decides."""
        if held.origin[1] == _NOWHERE:
            return hashlib.sha256(held.payloads[0]).hexdigest()
        return f"{len(self._pieces):012}"


def by_path(paths: Sequence[str], payloads: Sequence[bytes], default: str) -> Iterator[tuple[str, list[bytes], int]]:
    """The payloads of each path, with the index of the first of them."""
    if not paths:
        yield default, list(payloads), 0
        return
    grouped: dict[str, tuple[list[bytes], int]] = {}
    for index, (path, payload) in enumerate(zip(paths, payloads, strict=True)):
        grouped.setdefault(path, ([], index))[0].append(payload)
    for path, (of_path, first) in grouped.items():
        yield path, of_path, first
