"""Backoff: the pauses between the tries of something that fails, and the time that all tries may take together.

Pauses double up to a limit, so that a target that is away is not asked without end. With full jitter each is random
between nothing and that length, so that many workers that failed together do not come back together.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Backoff", "RetryBudget"]

_MAX_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses between tries.

    Attributes:
        first_secs: the pause after the first failure; each further one is twice as long.
        longest_secs: no pause is longer.
        jitter: whether a pause is random between 0 and its length (full jitter). Without it is right where only one
            tries, and the length is told to a user.
    """

    first_secs: float
    longest_secs: float = math.inf
    jitter: bool = True

    def secs(self, failures: int) -> float:
        """The pause after so many failures in a row, in seconds; `failures` is at least 1."""
        length = min(self.longest_secs, self.first_secs * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        return random.uniform(0, length) if self.jitter else length  # noqa: S311  spreads load, no secret


# At most 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, ... seconds: a daemon that restarts is soon found, without a busy loop.
_OF_A_BATCH: Final = Backoff(0.05, 1.0)


class RetryBudget:
    """The time in which one batch is tried again. It runs from the first failure on.

    Args:
        msec: how long to go on, in milliseconds; 0 allows no retry, None goes on forever.
        backoff: the pauses between tries.
    """

    def __init__(self, msec: int | None, backoff: Backoff = _OF_A_BATCH) -> None:
        self._budget_secs = math.inf if msec is None else msec / 1000
        self._backoff = backoff
        self._give_up: float | None = None
        self._failures = 0

    def wait(self) -> bool:
        """Waits for the next try; False, at once, if no time is left. The last try is at the end of the budget."""
        now = time.monotonic()
        if self._give_up is None:
            self._give_up = now + self._budget_secs
        left = self._give_up - now
        if left <= 0:
            return False
        self._failures += 1
        time.sleep(min(left, self._backoff.secs(self._failures)))
        return True
