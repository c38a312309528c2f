"""Which pieces make which file: the order of the source, cut by size, the same for every way to make bundles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final

from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.pieces import FilePlan, Part, Piece

__all__ = ["DEFAULT_FILE_BYTES", "plan_files"]

DEFAULT_FILE_BYTES: Final = 1024 * 1024 * 1024
"""Where a file ends if `file_rotate_size` says nothing; files are written in parallel, so they should not be larger."""


def plan_files(parts: Iterable[Part], layout: Layout, max_bytes: int) -> list[FilePlan]:
    """All files of a run.

    Args:
        parts: of all bundles that succeeded.
        layout: gives the names.
        max_bytes: a file that has anything gets no further piece beyond it; sizes are those before compression. 0 is
            the default.
    """
    pieces = sorted(piece for part in parts for piece in part.pieces)
    plans: list[FilePlan] = []
    for path, of_path in groupby(pieces, key=attrgetter("path")):
        cut = list(_cut(of_path, max_bytes or DEFAULT_FILE_BYTES))
        plans.extend(FilePlan(layout.final(path, number, len(cut)), each) for number, each in enumerate(cut))
    return plans


def _cut(pieces: Iterable[Piece], max_bytes: int) -> Iterator[tuple[Piece, ...]]:
    held: list[Piece] = []
    size = 0
    for piece in pieces:
        if held and size + piece.size > max_bytes:
            yield tuple(held)
            held, size = [], 0
        held.append(piece)
        size += piece.size
    if held:
        yield tuple(held)
