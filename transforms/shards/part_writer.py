"""The part of a bundle: one object with its payloads for all files, and pieces that say which bytes belong where."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from dovebeam.transforms.shards.local_store import Store
from dovebeam.transforms.shards.pieces import UNKNOWN_OFFSET, Frame, Framing, Piece

__all__ = ["PartWriter", "by_path"]

# What goes to one path is collected, so that it lies together in the part; that much is in memory at most.
_HELD_BYTES: Final = 8 * 1024 * 1024
_HELD_PER_FRAME: Final = 512  # of bookkeeping, which is more than the payloads where many paths get few
_FRAME_BYTES: Final = 1024 * 1024
# Payloads of unknown origin come one by one, so small frames of them would be many.
_LOOSE_BYTES: Final = 64 * 1024
_FRAMES_PER_FILE: Final = 8  # at least, so that a file comes close to its size

Origin = tuple[str, int]
"""A source and an offset in it; an empty text and `UNKNOWN_OFFSET` if unknown."""


class _Held:
    """Payloads of one path and source that are not written yet."""

    def __init__(self) -> None:
        self.frames: list[tuple[Frame, bytes]] = []
        self.loose: list[bytes] = []
        self.loose_bytes = 0


class PartWriter:
    """Writes one part.

    Args:
        store: of the exporter's files.
        name: of the part; it is created with the first bytes.
        framing: converts payloads to bytes.
        max_bytes: of the files; frames are smaller, unless a single payload is larger. 0 for a default.
        lasting: whether the part must survive a power failure once it is finished.
    """

    def __init__(self, store: Store, name: str, framing: Framing, max_bytes: int = 0, *, lasting: bool = False) -> None:
        self._store = store
        self._lasting = lasting
        self._name = name
        self._framing = framing
        self._max_bytes = min(max_bytes // _FRAMES_PER_FILE, _FRAME_BYTES) if max_bytes else _FRAME_BYTES
        self._held: dict[tuple[str, str], _Held] = {}
        self._held_bytes = 0
        self._file: BinaryIO | None = None
        self._end = 0

    def add(self, path: str, payloads: Sequence[bytes], origin: Origin) -> Iterator[Piece]:
        """Takes payloads of one path that follow each other in the source, the first at `origin`.

        Returns:
            The pieces that were written now, because too much was held.

        Raises:
            DeliveryError: the part cannot be written.
        """
        source, offset = origin
        held = self._held.setdefault((path, source), _Held())
        # Payloads with an origin are cut only by their own sizes. Frames are then the same whatever else the bundle
        # holds, and so are the files, however often a runner repeats the bundle or makes others.
        if offset == UNKNOWN_OFFSET:
            self._add_loose(held, payloads)
        else:
            for turn, cut in enumerate(_cut(payloads, self._max_bytes)):
                self._add_frame(held, cut, offset, turn)
        return iter(self._flush() if self._held_bytes > _HELD_BYTES else ())

    def finish(self) -> list[Piece]:
        """Completes the part in the store; returns the remaining pieces.

        Raises:
            DeliveryError: the part cannot be written.
        """
        pieces = self._flush()
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
        return pieces

    def abandon(self) -> None:
        """Closes the part of a failed bundle; no piece refers to it."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(Exception):
                file.close()

    def _add_loose(self, held: _Held, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            held.loose.append(payload)
            held.loose_bytes += len(payload) + 1
            self._held_bytes += len(payload) + 1
            if held.loose_bytes >= min(_LOOSE_BYTES, self._max_bytes):
                self._frame_loose(held)

    def _frame_loose(self, held: _Held) -> None:
        self._held_bytes -= held.loose_bytes
        loose, held.loose, held.loose_bytes = held.loose, [], 0
        for cut in _cut(loose, self._max_bytes):
            self._add_frame(held, cut, UNKNOWN_OFFSET, 0)

    def _add_frame(self, held: _Held, payloads: Sequence[bytes], offset: int, turn: int) -> None:
        data = self._framing.frame(payloads)
        frame = Frame(offset, turn, zlib.crc32(data), len(data), len(payloads), self._framing.span(payloads))
        held.frames.append((frame, data))
        self._held_bytes += len(data) + _HELD_PER_FRAME

    def _flush(self) -> list[Piece]:
        """Writes all held payloads; returns their pieces."""
        pieces = []
        for (path, source), held in self._held.items():
            self._frame_loose(held)
            # By offset, turn and checksum, as `plan_files` merges them: it expects the frames of a piece in order.
            held.frames.sort(key=lambda each: each[0][:3])
            if held.frames:
                pieces.append(Piece.of(path, source, self._name, self._end, (frame for frame, _ in held.frames)))
                self._write(data for _, data in held.frames)
        self._held, self._held_bytes = {}, 0
        return pieces

    def _write(self, chunks: Iterable[bytes]) -> None:
        if self._file is None:
            self._file = self._store.create(self._name, is_part=True, lasting=self._lasting)
        for data in chunks:
            self._file.write(data)
            self._end += len(data)


def _cut(payloads: Sequence[bytes], max_bytes: int) -> Iterator[Sequence[bytes]]:
    """The payloads in as few runs as their sizes, each with a line feed, allow."""
    begin, size = 0, 0
    for index, payload in enumerate(payloads):
        if index > begin and size + len(payload) + 1 > max_bytes:
            yield payloads[begin:index]
            begin, size = index, 0
        size += len(payload) + 1
    if payloads:
        yield payloads[begin:]


def by_path(paths: Sequence[str], payloads: Sequence[bytes], default: str) -> Iterator[tuple[str, list[bytes], int]]:
    """The payloads grouped by path, with the index of the first one of each group."""
    if not paths:
        yield default, list(payloads), 0
        return
    grouped: dict[str, tuple[list[bytes], int]] = {}
    for index, (path, payload) in enumerate(zip(paths, payloads, strict=True)):
        grouped.setdefault(path, ([], index))[0].append(payload)
    for path, (of_path, first) in grouped.items():
        yield path, of_path, first
