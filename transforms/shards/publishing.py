"""Makes panes of what is in a stream's spool, when it is time."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

from dovebeam.transforms.shards.committing import manifest_of
from dovebeam.transforms.shards.framing import Framing
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.manifest import Manifest
from dovebeam.transforms.shards.panes import time_mark, write_pane
from dovebeam.transforms.shards.spool import PaneIntent, Spool, SpooledPart
from dovebeam.transforms.shards.store import Store

__all__ = ["Publisher"]

_MSEC: Final = 1000


class Publisher:
    """The one that makes panes of a spool. Use it as a context: no other may, as long as it lasts.

    A window's pane is made when the window has been over for some time, and what comes later makes another pane after
    as much time again. So a window has one file as a rule, and late events have files of their own.

    Args:
        store: where the exporter's files go.
        exporter: its name.
        stream: what the stream is called.
        compression: of the files.
        framing: how payloads lie in them.
        max_bytes: where they end, 0 for a default.
        window_secs: length of a window.
        delay_msec: how long after a window's end, and after the arrival of what comes later, its files are made.
    """

    def __init__(
        self,
        store: Store,
        exporter: str,
        stream: str,
        *,
        compression: str,
        framing: Framing,
        max_bytes: int,
        window_secs: int,
        delay_msec: int,
    ) -> None:
        self._store = store
        self._spool = Spool(store, exporter, stream)
        self._layout = Layout(exporter, stream, compression)
        self._framing = framing
        self._max_bytes = max_bytes
        self._window_msec = window_secs * _MSEC
        self._delay_msec = delay_msec
        self._owner = uuid.uuid4().hex

    @contextlib.contextmanager
    def alone(self, now_msec: int) -> Iterator[None]:
        """For as long as the stream runs.

        Raises:
            DeliveryError: the place cannot be written, or another stream of this name runs.
        """
        with self._store.alone(self._spool.lock):
            self._spool.claim(self._owner)
            self._spool.remove_stale(now_msec)
            yield

    def publish(self, now_msec: int, *, everything: bool = False) -> Manifest | None:
        """Makes a pane of all that is due; None if nothing is.

        Args:
            now_msec: the time, milliseconds since 1970.
            everything: whether to wait for nothing, because the stream ends.

        Raises:
            DeliveryError: the place refuses something. Nothing is lost; calling it again goes on.
        """
        self._spool.check_owner(self._owner)
        interrupted = self._spool.begun()
        if interrupted is not None:
            self._finish(interrupted)
        parts = self._spool.parts()
        chosen = parts if everything else self._due(parts, now_msec)
        if not chosen:
            return None
        intent = PaneIntent(self._new_mark(now_msec // _MSEC), tuple(part.stem for part in chosen))
        self._spool.begin(intent)
        return self._finish(intent)

    def _due(self, parts: Sequence[SpooledPart], now_msec: int) -> list[SpooledPart]:
        first: dict[int, int] = {}
        for part in parts:
            first[part.window_secs] = min(part.since_msec, first.get(part.window_secs, part.since_msec))
        due = {window for window, since in first.items() if self._due_msec(window, since) <= now_msec}
        return [part for part in parts if part.window_secs in due]

    def _due_msec(self, window_secs: int, since_msec: int) -> int:
        return max(window_secs * _MSEC + self._window_msec, since_msec) + self._delay_msec

    def _finish(self, intent: PaneIntent) -> Manifest:
        layout = self._pane(intent.mark)
        manifest = manifest_of(self._store, layout)
        if manifest is None or manifest.state != "done":  # else its parts may be gone
            pieces = [piece for stem in intent.parts for piece in self._spool.pieces(stem)]
            manifest = write_pane(self._store, layout, pieces, self._framing, self._max_bytes)
        self._spool.end(intent)
        return manifest

    def _new_mark(self, now_secs: int) -> str:
        """A time that no pane of this stream has had; numbers would begin again when somebody has moved the files."""
        while self._store.stamp(self._pane(time_mark(now_secs)).manifest):
            now_secs += 1
        return time_mark(now_secs)

    def _pane(self, mark: str) -> Layout:
        return Layout(self._layout.exporter, f"{self._layout.run_id}-{mark}", self._layout.compression)
