"""The backlog of a delivery: retries that wait for their time, halves of requests, and the rest of the batch.

With one connection the order of the batch is kept: nothing overtakes a request that waits for its next attempt.
`RetryPolicy` decides whether a request gets another attempt, and when.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.drivers.http.outcome import Outcome
from dovebeam.transforms.drivers.http.requests import Request, end_of_request
from dovebeam.transforms.drivers.http.settings import HttpPostSettings

__all__ = ["Backlog", "RetryPolicy"]


class Backlog:
    """The requests of one batch that are not in flight.

    Attributes:
        undisturbed: whether there is only the rest of the batch, with no attempt counted against it.
        unsent: how many payloads were never sent.
    """

    def __init__(self, payloads: Sequence[bytes], max_events: int, max_bytes: int | None, *, ordered: bool) -> None:
        self.undisturbed = True
        self.unsent = len(payloads)
        self._payloads = payloads
        self._count = len(payloads)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._ordered = ordered
        # Attempts that count for all payloads that were never sent, after those of a dead endpoint.
        self._tries = 0
        self._since = 0.0
        # A heap by due time, then by first payload: requests that are due together keep the order of the batch.
        self._waiting: list[tuple[float, int, Request]] = []
        # A stack, with the first of the batch on top.
        self._halves: list[Request] = []

    def __bool__(self) -> bool:
        return self.unsent > 0 or bool(self._waiting or self._halves)

    def take_new(self) -> Request:
        """Takes a request that was never sent; `unsent` must not be 0."""
        first = self._count - self.unsent
        # The default; it needs no look at sizes, since one payload may always be sent.
        if self._max_events == 1:
            self.unsent -= 1
            return Request(first, first + 1)
        end = end_of_request(self._payloads, first, self._max_events, self._max_bytes)
        self.unsent = self._count - end
        return Request(first, end)

    def take_singles(self, most: int) -> range:
        """Takes up to so many payloads that were never sent, each for a request of its own; returns their indices."""
        first = self._count - self.unsent
        end = min(first + most, self._count)
        self.unsent = self._count - end
        return range(first, end)

    def due_secs(self, now: float) -> float | None:
        """Seconds until `take` has a request; 0 for now, None if everything is in flight."""
        if self._waiting:
            seconds = max(0.0, self._waiting[0][0] - now)
            # In order, a retry blocks all that follows it, also while it waits.
            if self._ordered or not seconds:
                return seconds
        if self._halves or self.unsent:
            return 0.0
        return max(0.0, self._waiting[0][0] - now) if self._waiting else None

    def take(self, now: float) -> Request:
        """Takes the request to send now; `due_secs` must have returned 0."""
        if self._waiting and (self._ordered or self._waiting[0][0] <= now):
            request = heapq.heappop(self._waiting)[2]
        elif self._halves:
            request = self._halves.pop()
        else:
            request = self.take_new()
            request.tries, request.since = self._tries, self._since
        self._note()
        return request

    def retry(self, request: Request, due: float) -> None:
        """Puts a request back, to be sent not before `due`."""
        heapq.heappush(self._waiting, (due, request.first, request))
        self.undisturbed = False

    def put(self, request: Request) -> None:
        """Puts a request back, to be sent before what follows in the batch."""
        self._halves.append(request)
        self.undisturbed = False

    def split(self, request: Request) -> None:
        """Puts both halves of a request back, to be sent before what follows in the batch."""
        first, second = request.halves()
        self._halves += (second, first)
        self.undisturbed = False

    def count_attempt(self, began: float, is_last: Callable[[int, float], bool]) -> list[Request]:
        """Counts an attempt for every request here; removes and returns those that have no attempt left.

        Args:
            began: start of the attempt, which is the first one of requests that were never sent.
            is_last: whether a request with so many attempts since its first one gets no further one.
        """
        given_up: list[Request] = []
        for request in [*(entry[2] for entry in self._waiting), *self._halves]:
            request.tries += 1
            request.since = request.since or began
            if is_last(request.tries, request.since):
                given_up.append(request)
        # By identity: two requests are never equal.
        lost = set(map(id, given_up))
        self._waiting = [entry for entry in self._waiting if id(entry[2]) not in lost]
        heapq.heapify(self._waiting)
        self._halves = [request for request in self._halves if id(request) not in lost]
        self._tries += 1
        self._since = self._since or began
        if self.unsent and is_last(self._tries, self._since):
            # One request of any size: it is never sent, only its payloads are rejected.
            rest = Request(self._count - self.unsent, self._count)
            rest.tries, self.unsent = self._tries, 0
            given_up.append(rest)
        self._note()
        return given_up

    def _note(self) -> None:
        self.undisturbed = not (self._waiting or self._halves or self._tries)


class RetryPolicy:
    """Rules for retries: the number of attempts, the pauses between them, and the retry budget for all of them.

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
        """Seconds until the next attempt; None if there is none.

        Args:
            outcome: of the last attempt.
            tries: number of attempts so far.
            since: start of the first one.
            now: the time, on the same clock.
        """
        if not outcome.retryable or tries >= self._attempts:
            return None
        seconds = self._seconds(outcome, tries)
        # The budget is for the starts of attempts; a pause that would end behind it is not begun.
        if self._budget_secs and now + seconds - since > self._budget_secs:
            return None
        return seconds

    def _seconds(self, outcome: Outcome, tries: int) -> float:
        if outcome.retry_after_secs:
            return outcome.retry_after_secs
        if outcome.at_once:
            return 0.0
        return self._backoff.secs(tries)
