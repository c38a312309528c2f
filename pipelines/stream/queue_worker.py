"""Threads of a stream's queues: one for each exporter, which delivers from its queue, and one that watches all queues.

No exporter waits for another one. The watch marks queues that are full, and reports exporters that lag behind.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from dovebeam.pipelines.jobs.reject_sink import ACCOUNTED, REASON, Reasons, RejectsFile
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms import progress
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.delivery import Delivery, Sent, refused_reject
from dovebeam.transforms.plan.queue import Queue, SegmentName
from dovebeam.transforms.progress import StoppedError

__all__ = ["QueueWatch", "QueueWorker", "WorkerState"]

_LOOK_SECS: Final = 0.05
_UNIT_BYTES: Final = 1024 * 1024
"""Bytes that are delivered between two flushes, at least one segment; so many come again after a failure."""

_BACKOFF: Final = Backoff(1.0, 60.0, jitter=False)
_WATCH_SECS: Final = 0.5
_REST: Final = 20
"""The watch pauses at least so many times as long as its last look took, however many segments there are."""

_ROOM: Final = 0.9
"""Part of its size at which a full queue has room again; lower than 1, so that reading does not flutter."""

_FIRST_TELL_SECS: Final = 10.0
_LAST_TELL_SECS: Final = 600.0


class WorkerState(NamedTuple):
    """State of an exporter's queue.

    Attributes:
        counters: of payloads since the start, by the names of the ledger's counters.
        waiting: number of payloads in the queue.
        waiting_bytes: their approximate size on the disk.
    """

    counters: dict[str, int]
    waiting: int
    waiting_bytes: int


class QueueWorker(threading.Thread):
    """The thread that delivers from the queue of one exporter.

    A segment is removed when each of its payloads was delivered, or is in the rejects on the disk. After a failure the
    segments in hand are delivered again, with a backoff of 1, 2, 4 ... 60 seconds, for as long as the stream runs.

    Args:
        exporter: its name.
        driver: of the exporter.
        queue: of the exporter.
        rejects: path of the file of rejects.
        check: raises a `DeliveryError` while nothing can be delivered.
        report: gets the exporter's name, the failure, and the seconds until the next attempt.

    Attributes:
        moved_at: time of the last delivery, by the monotonic clock, or when there was nothing to deliver.
        failures: number of failures in a row.
    """

    def __init__(
        self,
        exporter: str,
        driver: Driver,
        queue: Queue,
        rejects: str,
        *,
        check: Callable[[], None],
        report: Callable[[str, Exception, float], None],
    ) -> None:
        super().__init__(name=f"dovebeam-queue-{exporter}", daemon=True)
        self._exporter, self._driver, self._queue = exporter, driver, queue
        self._rejects, self._check, self._report = rejects, check, report
        self._next: deque[SegmentName] = deque()
        self._counters: dict[str, int] = {}
        self._reasons = Reasons()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._awake = threading.Event()
        self._delivery: Delivery | None = None
        self._rejects_file: RejectsFile | None = None
        self.moved_at = time.monotonic()
        self.failures = 0

    def run(self) -> None:
        """Delivers until `end` is called; runs in the thread."""
        try:
            while not self._ended.is_set():
                # Cleared before the work, so that a call of `hurry` meanwhile is not lost.
                self._awake.clear()
                pause = self._work()
                if pause:
                    self._awake.wait(pause)
        except StoppedError:
            pass
        finally:
            self._disconnect()

    def hurry(self) -> None:
        """Ends a pause before the next attempt."""
        self._awake.set()

    def end(self) -> None:
        """Asks the thread to end after the segments in hand."""
        self._ended.set()
        self._awake.set()

    def state(self) -> WorkerState:
        """Counters and queue of one moment.

        Raises:
            DeliveryError: the queue cannot be read.
        """
        with self._lock:
            names = self._queue.names()
            counters = dict(self._counters)
        return WorkerState(counters, sum(name.events for name in names), sum(name.disk_bytes for name in names))

    def _work(self) -> float:
        """Delivers the next segments; returns the seconds to pause afterwards."""
        try:
            names = self._take()
            if names:
                self._deliver(names)
        except StoppedError:
            raise
        # Any exception: other exporters go on, and this one must not stop silently.
        except Exception as error:
            self._next.clear()
            self._disconnect()
            self.failures += 1
            pause = _BACKOFF.secs(self.failures)
            self._report(self._exporter, error, pause)
            return pause
        self.failures = 0
        self.moved_at = time.monotonic()
        return 0 if names else _LOOK_SECS

    def _take(self) -> list[SegmentName]:
        if not self._next:
            self._next.extend(self._queue.names())
        names: list[SegmentName] = []
        size = 0
        while self._next and size < _UNIT_BYTES:
            names.append(self._next.popleft())
            size += names[-1].size
        return names

    def _deliver(self, names: Sequence[SegmentName]) -> None:
        delivery = self._connected()
        batches = (batch for name in names for batch in self._queue.read(name))
        results = [self._send(delivery) for batch in batches if delivery.add(batch)]
        results.append(self._send(delivery))
        # Delivered counts only after the flush, which a log target answers when all has arrived.
        delivery.flush()
        refused = [each for sent in results for each in sent.refused]
        rejects = [refused_reject(self._exporter, each.batch, each.index, each.failure) for each in refused]
        if rejects:
            self._rejects_file = self._rejects_file or RejectsFile(self._rejects)
            self._rejects_file.append(rejects)
        delivered = sum(sent.delivered for sent in results)
        # Removing and counting in one, so that a ledger of this moment adds up.
        with self._lock:
            self._queue.remove(names)
            self._count("delivered", delivered)
            self._count("delivered_bytes", sum(sent.delivered_bytes for sent in results))
            self._count_rejects(rejects)
        progress.advance(delivered=delivered, rejected=len(rejects), waiting=-delivered - len(rejects))

    def _send(self, delivery: Delivery) -> Sent:
        sent = delivery.send()
        self.moved_at = time.monotonic()
        progress.obey()  # raises if the stream is to stop at once
        return sent

    def _connected(self) -> Delivery:
        self._check()
        if self._delivery is None:
            self._delivery = Delivery(self._driver, self._exporter)
        return self._delivery

    def _disconnect(self) -> None:
        """Closes the connection; what it still holds is delivered again from the queue."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            with contextlib.suppress(Exception):
                delivery.close()

    def _count(self, name: str, count: int) -> None:
        self._add(f"{name}/{self._exporter}", count)

    def _count_rejects(self, rejects: Sequence[Reject]) -> None:
        self._count("rejected", len(rejects))
        self._add(ACCOUNTED, len(rejects))
        for reject in rejects:
            self._add(f"{REASON}/{self._reasons.of(reject)}", 1)

    def _add(self, name: str, count: int) -> None:
        if count:
            self._counters[name] = self._counters.get(name, 0) + count


class QueueWatch(threading.Thread):
    """The thread that marks full queues, and reports exporters that lag behind.

    Args:
        queues: by exporter.
        workers: by exporter; a failure that one has reported itself is not reported again.
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
        """Looks at all queues until `end` is called; runs in the thread."""
        took = 0.0
        while not self._ended.wait(max(_WATCH_SECS, took * _REST)):
            begun = time.monotonic()
            for name in self._queues:
                try:
                    self._look(name)
                except DovebeamError as error:  # the exporter's own thread reports it, too, and tries again
                    say(f"warning: event_exporter {name}: {error}")
            took = time.monotonic() - begun

    def end(self) -> None:
        """Asks the thread to end."""
        self._ended.set()

    def _look(self, name: str) -> None:
        state = self._workers[name].state()
        self._tell_lag(name, state.waiting)
        if name not in self._full and state.waiting_bytes >= self._max_bytes:
            self._full.add(name)
            # By a file beside the segments, because workers may be other processes.
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
        """Reports how much waits for an exporter that hangs, at growing intervals."""
        worker = self._workers[name]
        if worker.failures:  # its own thread reports them
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
