"""The token bucket: limits how many requests, records or events pass in a second.

It is the limiter of `http-post` (requests of an endpoint), of `log` (records of a log) and of `ThrottleBlocks` (events
of a re-send or a re-export). Each limit holds for one worker process, whose threads share the bucket.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["TokenBucket", "portions", "shared_bucket"]

# A tenth of a second: long enough that batches need few waits, short enough that a target sees an even rate.
_BURST_SECS: Final = 0.1
# Several threads wait for the same tokens, so each looks again from time to time, also at very low rates.
_SLICE_SECS: Final = 0.5


class TokenBucket:
    """A token bucket that threads share.

    Within any `t` seconds at most `per_second * t` tokens are taken and one burst: what a tenth of a second brings, at
    least one token. So a worker that was held up elsewhere does not rush afterwards. A new bucket is full.

    Args:
        per_second: how many tokens a second brings, more than 0.
        clock: gives the time in seconds, and never goes back.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        if per_second <= 0:
            raise ValueError(f"a rate must be more than 0, found {per_second}")
        self._rate = per_second
        self._burst = max(1.0, per_second * _BURST_SECS)
        self._clock = clock
        self._lock = threading.Lock()
        # Below 0 while tokens that `reserve` has given away are still to come.
        self._tokens = self._burst
        self._filled_at = clock()

    def take(self, most: int = 1) -> int:
        """Takes as many tokens as there are, up to `most`; returns how many."""
        with self._lock:
            self._fill()
            taken = max(0, min(most, int(self._tokens)))
            self._tokens -= taken
            return taken

    def due_secs(self) -> float:
        """Seconds until there is a token; 0 if there is one."""
        with self._lock:
            self._fill()
            return self._due_secs()

    def reserve(self, count: int) -> float:
        """Takes `count` tokens for something that is not split; returns the seconds until it may pass.

        It may pass when the first of its tokens is there. The next caller waits for the others.
        """
        with self._lock:
            self._fill()
            seconds = self._due_secs()
            self._tokens -= count
            return seconds

    def _due_secs(self) -> float:
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


def portions(bucket: TokenBucket | None, count: int) -> Iterator[range]:
    """The indices from 0 to `count` in portions, each as soon as there are tokens; without a bucket all at once."""
    if bucket is None:
        yield range(count)
        return
    start = 0
    while start < count:
        end = start + bucket.take(count - start)
        if end > start:
            yield range(start, end)
            start = end
        else:
            time.sleep(min(_SLICE_SECS, bucket.due_secs()))


# Never emptied: one entry for each target of a configuration.
_shared: Final[dict[tuple[str, float], TokenBucket]] = {}
_shared_lock: Final = threading.Lock()


def shared_bucket(of: str, per_second: float) -> TokenBucket:
    """The bucket that all threads of this process share for one target and rate.

    Args:
        of: the target that is limited, such as `log:ADDRESS`.
        per_second: see `TokenBucket`.
    """
    with _shared_lock:
        return _shared.setdefault((of, per_second), TokenBucket(per_second))
