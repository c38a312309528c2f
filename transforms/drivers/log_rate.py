"""How many records a second go into a log: a token bucket that all connections of a worker process to one log share.

A log daemon that gets more than it is set to take drops the rest, and says so at best in its own log: journald by
default more than 10,000 records of one service in 30 seconds, rsyslog's imuxsock what its RateLimit allows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final

__all__ = ["RateLimit", "rate_limit"]

_SLICE_SECS: Final = 0.5
_BURST_SECS: Final = 0.1


class RateLimit:
    """A token bucket.

    Args:
        per_second: records a second; 0 for no limit. What was not used is saved up for a tenth of a second only, so
            in no second pass more than a tenth above it.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second * _BURST_SECS)
        self._tokens = self._most
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def portions(self, count: int) -> Iterator[range]:
        """The records 0 to `count` in portions, each when its time has come."""
        if not self._per_second:
            yield range(count)
            return
        begin = 0
        while begin < count:
            end = begin + self._take(count - begin)
            if end > begin:
                yield range(begin, end)
                begin = end
            else:
                time.sleep(min(_SLICE_SECS, 1 / self._per_second))

    def _take(self, wanted: int) -> int:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
            self._at = now
            taken = min(wanted, int(self._tokens))
            self._tokens -= taken
            return taken


_limits: Final[dict[tuple[str, int], RateLimit]] = {}
_limits_lock: Final = threading.Lock()


def rate_limit(target: str, per_second: int) -> RateLimit:
    """The limit that all connections of this process to a log have together."""
    with _limits_lock:
        return _limits.setdefault((target, per_second), RateLimit(per_second))
