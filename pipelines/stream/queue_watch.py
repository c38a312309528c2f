"""Watches the queues of a stream: marks those that are full, and says who lags behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from dovebeam.pipelines.stream.queue_worker import QueueWorker
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.queues import Queue

__all__ = ["QueueWatch"]

_LOOK_SECS: Final = 0.5
_REST: Final = 20
"""Looking takes at most one part in so many of the time, however many segments there are."""

_ROOM: Final = 0.9
"""A queue that was full has room when it is at this part of its size."""

_FIRST_TELL_SECS: Final = 10.0
_LAST_TELL_SECS: Final = 600.0


class QueueWatch(threading.Thread):
    """See the module.

    Args:
        queues: by exporter.
        workers: by exporter; what one says itself of a failure is not said again.
        max_bytes: of one queue.
    """

    def __init__(self, queues: Mapping[str, Queue], workers: Mapping[str, QueueWorker], max_bytes: int) -> None:
        super().__init__(name="dovebeam-queues", daemon=True)
        self._queues, self._workers, self._max_bytes = queues, workers, max_bytes
        self._full: set[str] = set()
        self._tell_after: dict[str, float] = {}
        self._in_trouble: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        """The thread."""
        took = 0.0
        while not self._ended.wait(max(_LOOK_SECS, took * _REST)):
            begun = time.monotonic()
            for name in self._queues:
                try:
                    self._look(name)
                except DovebeamError as error:  # the exporter's own thread says the same, and tries again
                    say(f"warning: event_exporter {name}: {error}")
            took = time.monotonic() - begun

    def end(self) -> None:
        """Asks it to end."""
        self._ended.set()

    def _look(self, name: str) -> None:
        state = self._workers[name].state()
        self._tell_lag(name, state.waiting)
        if name not in self._full and state.waiting_bytes >= self._max_bytes:
            self._full.add(name)
            self._queues[name].mark_full(is_full=True)
            say(
                f"warning: event_exporter {name}: {state.waiting:,} payloads wait, and its queue of "
                f"{self._max_bytes:,} bytes is full (--max_queue_bytes); nothing is read until it has room"
            )
        elif name in self._full and state.waiting_bytes < self._max_bytes * _ROOM:
            self._full.discard(name)
            self._queues[name].mark_full(is_full=False)
            say(f"event_exporter {name}: its queue has room again, reading goes on")

    def _tell_lag(self, name: str, waiting: int) -> None:
        """Says of an exporter that hangs how much waits for it, at growing distances."""
        worker = self._workers[name]
        if worker.failures:  # it says so itself
            self._in_trouble.add(name)
            return
        still_secs = time.monotonic() - worker.moved_at
        after = self._tell_after.get(name, _FIRST_TELL_SECS)
        if not waiting or still_secs < _FIRST_TELL_SECS:
            if name in self._in_trouble:
                say(f"event_exporter {name}: delivers again, {waiting:,} payloads wait")
            self._in_trouble.discard(name)
            self._tell_after.pop(name, None)
        elif still_secs >= after:
            self._in_trouble.add(name)
            self._tell_after[name] = still_secs + min(after, _LAST_TELL_SECS)
            say(
                f"warning: event_exporter {name}: nothing was delivered for {still_secs:.0f} s; other exporters go on, "
                f"{waiting:,} payloads wait on disk"
            )
