"""Which frames make which file: the order of the source, cut by size, the same for every way to make bundles."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.pieces import Extent, FilePlan, Piece, PlacedFrame

__all__ = ["DEFAULT_FILE_BYTES", "plan_files"]

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
