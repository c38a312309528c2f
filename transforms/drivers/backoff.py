"""Exponential backoff with jitter, and a retry budget: the time that all attempts may take together.

Pauses double up to a limit, so that a target that is away is not asked all the time. With full jitter each is random
between 0 and that length, so that many workers that failed together do not come back together.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Backoff", "RetryBudget"]

# More than any limit needs; without it the power would overflow a float after a thousand failures.
_MAX_DOUBLINGS: Final = 32

_RANDOM: Final = random.SystemRandom()  # leaves the state of the process alone, and differs in forked workers


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between attempts.

    Attributes:
        first_secs: the pause after the first failure; each further one is twice as long.
        longest_secs: no pause is longer.
        jitter: whether a pause is random between 0 and its length (full jitter). Not needed where only one process
            tries, or where the length is shown to a user.
    """

    first_secs: float
    longest_secs: float = math.inf
    jitter: bool = True

    def secs(self, failures: int) -> float:
        """The pause after so many failures in a row, in seconds; `failures` is at least 1."""
        length = min(self.longest_secs, self.first_secs * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        return _RANDOM.uniform(0, length) if self.jitter else length


# At most 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, ... seconds: a daemon that restarts is soon found, without a busy loop.
_OF_A_BATCH: Final = Backoff(0.05, 1.0)


class RetryBudget:
    """The time in which one batch is retried, counted from its first failure.

    Args:
        msec: how long to retry, in milliseconds; 0 allows no retry, None retries forever.
        backoff: the pauses between attempts.
    """

    def __init__(self, msec: int | None, backoff: Backoff = _OF_A_BATCH) -> None:
        self._budget_secs = math.inf if msec is None else msec / 1000
        self._backoff = backoff
        self._give_up: float | None = None
        self._failures = 0

    def wait(self) -> bool:
        """Waits for the next attempt; False, at once, if no time is left. The last one is at the end of the budget."""
        now = time.monotonic()
        # From the first failure, not from the start: a batch that took long to fail has its whole budget, too.
        if self._give_up is None:
            self._give_up = now + self._budget_secs
        left = self._give_up - now
        if left <= 0:
            return False
        self._failures += 1
        # Cut to what is left, so that a target that comes back just before the end still gets an attempt.
        time.sleep(min(left, self._backoff.secs(self._failures)))
        return True
