"""Account of a stream: its counters at any moment, its ledger, and the loop of segments that updates both.

`Acknowledged` keeps counters, `StreamAccount` makes ledgers of them, and `run_segments` runs a stream on Beam's
in-process runner.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.jobs.outputs import replace_file
from dovebeam.pipelines.ledger.closing import account_as_json, close_job, close_unfinished, counters_of, report_failure
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.pipelines.running.local import InterruptedJobError, is_stop
from dovebeam.pipelines.stream.queues import StreamQueues
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms import progress
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS
from dovebeam.transforms.read_from_streams import Segment

__all__ = ["Acknowledged", "Counters", "StreamAccount", "run_segments"]


_LEFT: Final = "What was acknowledged is not delivered again; what was in hand comes again at the next start"
_QUEUED: Final = ", and what waits in the queues of exporters is delivered then"

Counters = dict[str, int]


class Acknowledged:
    """Counters of acknowledged bundles, available at any moment, also while the stream's pipeline hangs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: Counters = {}

    def end(self, counted: Iterable[tuple[str, int]] | None = None) -> Counters:
        """Adds a segment that has ended; returns the counters of all so far.

        Args:
            counted: its counters; None if it failed, and only what it acknowledged before counts.
        """
        with self._lock:
            # Beam's numbers are the same; they count where there are any, as in the ledger of every other job.
            acknowledged = BUNDLE_COUNTERS.take().items()
            self._ended = _sum(self._ended, acknowledged if counted is None else counted)
            return dict(self._ended)

    def so_far(self) -> Counters:
        """Counters of all segments that have ended, and of what the running one has acknowledged."""
        with self._lock:
            return _sum(self._ended, BUNDLE_COUNTERS.kept().items())


class StreamAccount:
    """The ledger of a stream: written while it runs, and closed when it is drained, stopped or failed.

    Args:
        config: of the stream.
        drivers: of its exporters, by name.
        queues: of its exporters.
        path: file for the ledger as JSON, None for none.
        debug: whether errors show tracebacks.
    """

    def __init__(
        self,
        config: Config,
        drivers: Mapping[str, Driver],
        queues: StreamQueues,
        *,
        path: str | None,
        debug: bool,
    ) -> None:
        self._config, self._queues, self._path, self._debug = config, queues, path, debug
        self._targets = {name: driver.endpoint for name, driver in drivers.items()}
        self._known: Callable[[], Iterable[tuple[str, int]]] | None = None

    def begin(self, known: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Called when the stream starts to read; `known` gives its counters at any moment, perhaps in several parts."""
        self._known = known

    def with_queues(self, counters: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """The counters of bundles together with those of the queues that they filled.

        Raises:
            DeliveryError: a queue cannot be read.
        """
        return [*counters, *self._queues.counters().items()]

    def update(self, counters: Counters) -> None:
        """Writes the ledger of a running stream, marked as not complete.

        Raises:
            DeliveryError: it cannot be written, or a queue cannot be read.
        """
        if self._path is not None:
            ledger = dataclasses.replace(self._ledger(self.with_queues(counters.items())), complete=False)
            replace_file(self._path, account_as_json(ledger.as_dict()))

    def close(self, counters: Iterable[tuple[str, int]]) -> int:
        """Shows and writes the ledger of a stream that was drained; returns its exit code."""
        return close_job(self._ledger(counters), self._path, are_rejects_kept=True)

    def close_failed(self, error: Exception) -> int:
        """Prints why a stream was stopped or failed, and updates its ledger; returns its exit code.

        Raises:
            Exception: `error`, if the stream has not started to read.
        """
        # Then the ledger may belong to another stream that is running.
        if self._known is None:
            raise error
        left = f"{_LEFT}{_QUEUED if self._queues.root else ''}."
        code = report_failure(error, self._config, debug=self._debug, left=left)
        try:
            ledger = self._ledger(self.with_queues(self._known()))
        except DovebeamError as unread:
            say(f"warning: the ledger is not up to date: {unread}")
        else:
            close_unfinished(ledger, self._path, show=isinstance(error, InterruptedJobError))
        return code

    def _ledger(self, counters: Iterable[tuple[str, int]]) -> Ledger:
        return make_ledger(counters, self._config, self._targets)


def _sum(counters: Counters, more: Iterable[tuple[str, int]]) -> Counters:
    sums = dict(counters)
    for name, value in more:
        sums[name] = sums.get(name, 0) + value
    return sums


# A stream on Beam's in-process runner is a sequence of pipelines, called segments. That runner keeps memory for every
# bundle of a pipeline, and reports counters only at its end. So a segment has at most some hundred bundles or lasts a
# minute. A segment that fails, for example because a target is down, is retried from the last acknowledged state with
# backoff; the counters of its acknowledged bundles are kept.

MAX_PIECES: Final = 600
"""Most bundles of a segment: with a thousand, adding up counters exceeds Python's recursion limit (Beam 2.77)."""

MAX_SECS: Final = 60.0
MAX_FAILURES: Final = 10
"""Most failures in a row; with the pauses between them they last about five minutes."""

# Numbers of pieces that a segment may use; a later segment never repeats a number.
_PLACES_PER_SEGMENT: Final = 2**32
_BACKOFF: Final = Backoff(1.0, 60.0, jitter=False)
_LOOK_SECS: Final = 0.1


def run_segments(
    run: Callable[[Segment], PipelineResult],
    account: Callable[[Counters], None],
    report: Callable[[Exception, float], None],
    delivered: Callable[[], int],
    acknowledged: Acknowledged,
) -> Counters:
    """Runs a stream until it is drained, and returns its counters.

    Args:
        run: runs a pipeline with this segment of the source to its end.
        account: gets all acknowledged counters so far whenever a segment has ended or failed.
        report: gets the failure of a segment, and the seconds until it is retried.
        delivered: number of payloads delivered so far, also by a running segment.
        acknowledged: keeps the counters.

    Raises:
        Exception: the stream failed before it delivered anything, or so often in a row without delivering anything in
            between, or it was stopped.
    """
    failures, succeeded, number = 0, False, 0
    # At least one segment runs, also when it is drained from the start: it delivers what was left.
    while not (number and progress.is_draining()):
        number += 1
        before = delivered()
        try:
            result = run(Segment(number * _PLACES_PER_SEGMENT, MAX_PIECES, MAX_SECS))
        except Exception as error:
            _update(account, acknowledged.end())
            if delivered() > before:  # it worked for some time
                failures, succeeded = 0, True
            failures += 1
            # What never worked is probably a mistake that a person should see; what worked before is an outage.
            if not succeeded or failures >= MAX_FAILURES or is_stop(error) or progress.is_draining():
                raise
            pause = _BACKOFF.secs(failures)
            report(error, pause)
            _pause(pause)
            continue
        failures, succeeded = 0, True
        _update(account, acknowledged.end(counters_of(result)))
    return acknowledged.so_far()


def _update(account: Callable[[Counters], None], counters: Counters) -> None:
    """Updates the account; an error is only a warning."""
    # The disk of the ledger may be full, and events must not wait for that.
    try:
        account(counters)
    except DovebeamError as error:
        say(f"warning: the ledger is not up to date: {error}")


def _pause(secs: float) -> None:
    """Waits that long, or until the stream is asked to end."""
    end = time.monotonic() + secs
    while time.monotonic() < end and not progress.is_draining():
        threading.Event().wait(_LOOK_SECS)
