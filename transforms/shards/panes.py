"""A pane: the files of what came for some windows of a stream, put in place together.

A stream has no end at which its files could be complete. So they are written pane by pane, each a run of its own with a
manifest of its own; what comes later makes further files and touches none that are there.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Final

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.committing import commit, manifest_of
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.framing import Framing
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.manifest import Manifest
from dovebeam.transforms.shards.pieces import Piece
from dovebeam.transforms.shards.planning import plan_files
from dovebeam.transforms.shards.store import Store

__all__ = ["time_mark", "write_pane"]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def write_pane(store: Store, layout: Layout, pieces: Iterable[Piece], framing: Framing, max_bytes: int) -> Manifest:
    """Makes files of all pieces, or does nothing if the pane is complete already.

    Args:
        store: where the parts are and the files go.
        layout: of the pane; the same one only for the same pieces.
        pieces: all of the pane, in any order.
        framing: how payloads lie in files.
        max_bytes: where files end, 0 for a default.

    Raises:
        DeliveryError: the place refuses something, or a name is taken. Calling it again goes on.
    """
    done = manifest_of(store, layout)
    if done is not None and done.state == "done":
        return done
    store.delete_tree(layout.temporary)  # what an interrupted attempt had composed
    by_path: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_path.setdefault(piece.path, []).append(piece)
    try:
        plans = [plan for path, of_path in by_path.items() for plan in plan_files(path, of_path, layout, max_bytes)]
    except ValueError as error:
        raise DeliveryError(str(error), layout.manifest) from error
    written = [compose(store, plan, layout.written(uuid.uuid4().hex), framing, layout.compression) for plan in plans]
    return commit(store, layout, written)


def time_mark(seconds: int) -> str:
    """A time in names of files, such as 20261125T100000Z; seconds since 1970."""
    return f"{_EPOCH + dt.timedelta(seconds=seconds):%Y%m%dT%H%M%SZ}"
