"""A stream on Beam's in-process runner: one pipeline after the other, each for some time.

That runner keeps memory for every bundle of a pipeline, and tells counters only at its end. So a stream runs as
segments of at most some hundred bundles or a minute. A segment that fails, because a target is down, say, is tried
again from the last state that was acknowledged, after growing pauses; what its acknowledged bundles counted is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.ledger.closing import counters_of
from dovebeam.pipelines.running.failures import is_stop
from dovebeam.pipelines.stream.account import Acknowledged, Counters
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms import progress
from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.streaming import Segment

__all__ = ["run_segments"]

MAX_PIECES: Final = 600
"""With a thousand bundles, adding up their counters exceeds Python's recursion limit (Beam 2.77)."""

MAX_SECS: Final = 60.0
MAX_FAILURES: Final = 10
"""In a row; with the pauses between them they last about five minutes."""

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
        account: is given the counters of all that was acknowledged so far whenever a segment has ended or failed.
        report: is given what made a segment fail, and after how many seconds it is tried again.
        delivered: how many payloads were delivered so far, also by a segment that is not at its end.
        acknowledged: keeps the counters.

    Raises:
        Exception: the stream failed before it delivered anything, or so often in a row without delivering anything in
            between, or it was stopped.
    """
    failures, succeeded, number = 0, False, 0
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
    """Brings the account up to date if it can be; the disk of the ledger may be full, and no event waits for that."""
    try:
        account(counters)
    except DovebeamError as error:
        say(f"warning: the ledger is not up to date: {error}")


def _pause(secs: float) -> None:
    """Waits; not if the stream is to end, since then it fails at once or is done."""
    end = time.monotonic() + secs
    while time.monotonic() < end and not progress.is_draining():
        threading.Event().wait(_LOOK_SECS)
