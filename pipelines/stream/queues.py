"""Queues on disk of a stream with several exporters: started, drained and accounted for by its launcher.

Bundles end when their payloads are in the queues; a thread for each exporter delivers. So an exporter whose target
hangs or fails does not hold up the others, and nothing is lost before every exporter has it. A stream of one exporter
delivers in its bundles and needs no queue.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.pipelines.running.local import explain_failure
from dovebeam.pipelines.stream.queue_worker import QueueWatch, QueueWorker
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms import progress
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import take_lock
from dovebeam.transforms.plan.queue import Queue, SegmentName, make_directory

__all__ = ["StreamQueues", "queues_of"]

_QUEUES: Final = "queues"
_LOCK: Final = ".lock"  # no exporter's directory begins with a dot
_LOOK_SECS: Final = 0.1
_HANG_SECS: Final = 10.0
"""At the end of a stream, how long an exporter may deliver nothing before it is not waited for."""

_DRAIN_SECS: Final = 30.0
"""At the end of a stream, how long an exporter that delivers may take for what is in its queue."""

_END_SECS: Final = 2.0


def queues_of(state: str, drivers: Mapping[str, Driver]) -> str:
    """Directory of a stream's queues; empty if it needs none.

    Args:
        state: directory of its state; empty if it has none.
        drivers: of its exporters, by name.

    Raises:
        DeliveryError: a queue cannot be read.
    """
    # A queue that an earlier start with more exporters has left is delivered as well.
    root = os.path.join(os.path.abspath(state), _QUEUES) if state else ""
    if root and (len(drivers) > 1 or any(Queue(root, name).names() for name in drivers)):
        return root
    return ""


class StreamQueues:
    """All queues of a stream, with the threads that deliver from them.

    Args:
        root: their directory, from `queues_of`; empty for none.
        config: of the stream, for messages.
        drivers: of its exporters, by name.
        checks: by exporter, functions that raise a `DeliveryError` while nothing can be delivered.
        rejects: path of the file of rejects.
        max_bytes: of one queue, at which reading pauses.
    """

    def __init__(
        self,
        root: str,
        config: Config,
        drivers: Mapping[str, Driver],
        checks: Mapping[str, Callable[[], None]] = MappingProxyType({}),
        *,
        rejects: str,
        max_bytes: int,
    ) -> None:
        self.root: Final = root
        self._config = config
        self._queues: Final = {name: Queue(root, name) for name in drivers} if root else {}
        self._workers: Final = {
            name: QueueWorker(
                name,
                drivers[name],
                queue,
                rejects,
                check=checks.get(name, _no_check),
                report=self._failed,
            )
            for name, queue in self._queues.items()
        }
        self._watch: Final = QueueWatch(self._queues, self._workers, max_bytes)
        self._before: dict[str, int] = {}

    @contextlib.contextmanager
    def worked(self) -> Iterator[None]:
        """A context in which this stream owns the queues; at its end delivering stops.

        Raises:
            DeliveryError: the queues cannot be used, or another stream uses them.
        """
        if not self.root:
            yield
            return
        with self._alone():
            self._begin()
            try:
                yield
            finally:
                self._end()

    def deliver(self) -> None:
        """Starts to deliver, first what an earlier start has left."""
        # Not in `worked`: a signal before the job runs says that nothing was done, which would not be true any more.
        if self.root:
            for thread in self._threads():
                thread.start()

    def _threads(self) -> list[threading.Thread]:
        return [*self._workers.values(), self._watch]

    def clean(self) -> None:
        """Removes unfinished segments of a failed pipeline; none must be running."""
        for queue in self._queues.values():
            queue.remove_unfinished()

    def finish(self) -> None:
        """Waits until the queues are delivered, for each exporter as long as its target accepts payloads.

        Raises:
            StoppedError: the stream is to end at once.
        """
        begun = time.monotonic()
        failures = {name: worker.failures for name, worker in self._workers.items()}
        for worker in self._workers.values():
            worker.moved_at = begun
            worker.hurry()  # what has failed is retried at once
        while any(self._is_worth_waiting(name, begun, failures[name]) for name in self._workers):
            progress.obey()
            time.sleep(_LOOK_SECS)
        for name, queue in self._queues.items():
            waiting = _events(queue.names())
            if waiting:
                say(
                    f"warning: event_exporter {name}: {waiting:,} payloads were not delivered and are kept in "
                    f"{queue.directory}; the next start of the stream delivers them"
                )

    def counters(self) -> dict[str, int]:
        """Counters of payloads since the start, by the names of the ledger's counters."""
        sums: dict[str, int] = {}
        for name, worker in self._workers.items():
            state = worker.state()
            sums |= {f"waiting/{name}": state.waiting, f"queued_before/{name}": self._before.get(name, 0)}
            for counter, count in state.counters.items():
                sums[counter] = sums.get(counter, 0) + count
        return sums

    def _is_worth_waiting(self, name: str, begun: float, failures: int) -> bool:
        """Whether an exporter still delivers from its queue: it neither hangs nor has failed again."""
        worker, now = self._workers[name], time.monotonic()
        if now - begun >= _DRAIN_SECS or now - worker.moved_at >= _HANG_SECS or worker.failures > failures:
            return False
        return worker.is_alive() and bool(self._queues[name].names())

    def _begin(self) -> None:
        for name, queue in self._queues.items():
            queue.make()
            queue.remove_unfinished()
            queue.mark_full(is_full=False)
            self._before[name] = waiting = _events(queue.names())
            if waiting:
                say(f"event_exporter {name}: {waiting:,} payloads of an earlier start are delivered first")
                progress.advance(waiting=waiting)
        known = {queue.directory for queue in self._queues.values()}
        for entry in sorted(os.scandir(self.root), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and entry.path not in known:
                self._tell_forgotten(entry.path)

    def _tell_forgotten(self, directory: str) -> None:
        """Warns about a kept queue of an exporter that is not in the configuration any more."""
        waiting = _events(name for name in map(SegmentName.of, os.listdir(directory)) if name is not None)
        if waiting:
            say(
                f"warning: {directory} holds {waiting:,} payloads for an event_exporter that no metric uses any more; "
                "they are kept, and delivered when the configuration has it again; remove the directory to drop them"
            )

    def _end(self) -> None:
        """Ends the threads."""
        # One that hangs in a call to its target is a daemon thread and ends with the process.
        for worker in self._workers.values():
            worker.end()
        self._watch.end()
        give_up = time.monotonic() + _END_SECS
        for thread in self._threads():
            if thread.is_alive():
                thread.join(max(0.0, give_up - time.monotonic()))

    def _failed(self, name: str, error: Exception, pause_secs: float) -> None:
        try:
            waiting = f"{_events(self._queues[name].names()):,} payloads wait on disk"
        except DeliveryError:  # the very failure that is reported
            waiting = "what waits stays on disk"
        said = explain_failure(error, self._config, name)
        say(f"{said}; other exporters go on, {waiting}, trying again in {pause_secs:.0f} s")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A context that holds the lock of the queues; the lock also ends with the process."""
        make_directory(os.path.dirname(self.root))
        make_directory(self.root)
        path = os.path.join(self.root, _LOCK)
        try:
            fd = take_lock(path)
        except OSError as error:
            raise delivery_error("open", path, error) from error
        if fd is None:
            message = f"another dovebeam stream uses {self.root}; give each its own --state"
            raise DeliveryError(message, self.root)
        try:
            yield
        finally:
            os.close(fd)


def _events(names: Iterator[SegmentName] | list[SegmentName]) -> int:
    return sum(name.events for name in names)


def _no_check() -> None:
    """Raises nothing, since most exporters can always be tried."""
