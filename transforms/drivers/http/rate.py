"""A limit on requests per second: a token bucket that threads share."""

from __future__ import annotations

import threading
import time
from typing import Final

__all__ = ["TokenBucket"]

_BURST_SECS: Final = 0.1


class TokenBucket:
    """Gives out so many tokens a second, evenly: after a rest at most a tenth of a second's worth, at least one."""

    def __init__(self, per_second: int) -> None:
        self._rate = float(per_second)
        self._most = max(1.0, self._rate * _BURST_SECS)
        self._tokens = self._most
        self._filled_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, now: float) -> float:
        """Takes a token and returns 0, or returns the seconds until there will be one.

        Args:
            now: the monotonic clock, in seconds.
        """
        with self._lock:
            passed = max(0.0, now - self._filled_at)
            self._tokens = min(self._most, self._tokens + passed * self._rate)
            self._filled_at = max(now, self._filled_at)
            if self._tokens < 1.0:
                return (1.0 - self._tokens) / self._rate
            self._tokens -= 1.0
            return 0.0
