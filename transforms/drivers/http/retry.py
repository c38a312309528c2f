"""When a request is sent again: the number of attempts, the pauses between them, and the time for all of them."""

from __future__ import annotations

import math

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.drivers.http.outcome import Outcome
from dovebeam.transforms.drivers.http.settings import HttpPostSettings

__all__ = ["RetryPolicy"]


class RetryPolicy:
    """The rules of one driver.

    Attributes:
        longest_wait_secs: the longest Retry-After that is waited for.
    """

    def __init__(self, settings: HttpPostSettings) -> None:
        self.longest_wait_secs = settings.max_retry_after_secs
        self._attempts = settings.max_attempts
        first = settings.http_client_connect_backoff_time_msec or 100
        longest = settings.http_client_connect_backoff_max_time_msec
        self._backoff = Backoff(first / 1000, math.inf if longest is None else longest / 1000)
        self._budget_secs = (settings.http_post_retry_budget_msec or 0) / 1000

    def pause(self, outcome: Outcome, tries: int, since: float, now: float) -> float | None:
        """Seconds until the next attempt; None for no further one.

        Args:
            outcome: of the last attempt.
            tries: how many attempts there were.
            since: when the first one began.
            now: the time, on the same clock.
        """
        if not outcome.retryable or tries >= self._attempts:
            return None
        seconds = self._seconds(outcome, tries)
        if self._budget_secs and now + seconds - since > self._budget_secs:
            return None
        return seconds

    def _seconds(self, outcome: Outcome, tries: int) -> float:
        if outcome.retry_after_secs:
            return outcome.retry_after_secs
        if outcome.at_once:
            return 0.0
        return self._backoff.secs(tries)
