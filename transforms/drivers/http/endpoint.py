"""The state of an endpoint, shared by all connections and threads of a worker process.

It decides when requests may start, how many at a time, and whether the endpoint is taken for dead:

- After `Retry-After`, and during the pause before a retry, no request starts.
- Concurrency adapts by additive increase, multiplicative decrease: a wave of refusals or time-outs halves the number of
  requests in flight, each window of successes adds one.
- An endpoint that did not answer for several waves is taken for dead. Then one request at a time (a probe) finds out
  whether it is back, instead of each of them running into its own time limit.

A wave is all that was in flight when the first of it failed: what was sent later knows more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sized
from typing import Final
from weakref import WeakValueDictionary

from dovebeam.transforms.drivers.http.outcome import Outcome, Trouble
from dovebeam.transforms.drivers.rate_limit import TokenBucket, shared_bucket

__all__ = ["Endpoint", "Member", "endpoint_of"]

# A missing connection is stronger evidence than a missing answer: a server may be slow for a while.
_EVIDENCE: Final = {Trouble.UNREACHABLE: 8, Trouble.SLOW: 2, Trouble.LOST: 2}
_DEAD: Final = 24
"""The evidence of three waves without a connection, or of twelve without an answer."""

# After how long to ask again: a place becomes free with the next answer, a probe takes longer.
_CROWDED_SECS: Final = 0.01
_PROBED_SECS: Final = 0.05


class Member:
    """A delivery that sends to an endpoint.

    Attributes:
        on_way: its requests in flight; only the length is used.
        size: how many it may have in flight.
    """

    __slots__ = ("on_way", "size")

    def __init__(self, on_way: Sized, size: int) -> None:
        self.on_way = on_way
        self.size = size


class Endpoint:
    """The state of one endpoint. Any thread may call all methods; times are of the monotonic clock, in seconds.

    Args:
        name: of the endpoint, for what is kept when no connection uses it any more.

    Attributes:
        calm: whether requests may start without asking `permit`. A hint, read without the lock.
        closing: the last answer with a `Retry-After`.
        prober: the delivery whose request finds out whether a dead endpoint is back.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.calm = True
        self.closing: Outcome | None = None
        self.prober: Member | None = None
        self._lock = threading.Lock()
        self._members: list[Member] = []
        # No request starts before this; the second one counts only what the endpoint asked for.
        self._open_at = 0.0
        self._asked_until = 0.0
        # Most requests in flight, None for no limit; a fraction, as each success adds a part of one.
        self._limit: float | None = None
        # The starts of the present waves: attempts that began earlier belong to the wave before.
        self._cut_at = 0.0
        self._evidence = 0
        self._wave_at = 0.0

    def join(self, member: Member) -> None:
        """Adds a delivery, until it leaves."""
        with self._lock:
            self._members.append(member)

    def leave(self, member: Member) -> None:
        """Removes a delivery, also after an error."""
        with self._lock:
            self._members.remove(member)
            # Or no one would ever probe a dead endpoint again.
            if self.prober is member:
                self.prober = None

    def bucket(self, requests_per_second: int) -> TokenBucket:
        """The rate limiter of all deliveries with the same limit, also of those that begin when the last has ended."""
        return shared_bucket(f"http-post:{self._name}", requests_per_second)

    def asked_secs(self, now: float) -> float:
        """Seconds that are left of the endpoint's `Retry-After`; 0 without one."""
        return max(0.0, self._asked_until - now)

    def close_for(self, seconds: float, why: Outcome | None = None) -> None:
        """Lets no request start for some time; a longer closure stays.

        Args:
            seconds: how long.
            why: the answer whose `Retry-After` it is; None for the pause before a retry.
        """
        with self._lock:
            until = time.monotonic() + seconds
            if why is not None and until > self._asked_until:
                self._asked_until, self.closing = until, why
                _keep(self)
            if until > self._open_at:
                self._open_at, self.calm = until, False

    def permit(self, member: Member, now: float) -> float:
        """0 if the member may start a request now; else the seconds after which to ask again."""
        with self._lock:
            if now < self._open_at:
                return self._open_at - now
            if self._evidence >= _DEAD:
                return self._permit_probe(member)
            # At least one, or nothing could ever show that the endpoint has recovered.
            if self._limit is not None and self._on_way() >= max(1, int(self._limit)):
                return _CROWDED_SECS
            self._settle(now)
            return 0.0

    def succeeded(self, count: int) -> None:
        """Counts requests that were delivered."""
        with self._lock:
            self._evidence = 0
            self.prober = None
            if self._limit is not None:
                # Additive increase: a whole window of successes adds 1.
                self._limit += count / self._limit
                if self._limit >= sum(member.size for member in self._members):
                    self._limit = None
            self._settle(time.monotonic())

    def failed(self, trouble: Trouble, started: float, *, adaptive: bool) -> None:
        """Counts an attempt that failed.

        Args:
            trouble: what it tells about the endpoint.
            started: when the attempt began.
            adaptive: whether concurrency adapts.
        """
        with self._lock:
            now = time.monotonic()
            if adaptive and trouble in {Trouble.BUSY, Trouble.SLOW} and started >= self._cut_at:
                self._cut_at = now
                # The one that failed is not in flight any more, but was one of those that were too many.
                self._limit = max(1.0, (self._on_way() + 1) / 2)
                self.calm = False
            # Any answer, also a refusal, shows that the endpoint is alive.
            if trouble not in _EVIDENCE:
                self._evidence = 0
                self.prober = None
            elif started >= self._wave_at:
                self._wave_at = now
                self._evidence = min(_DEAD, self._evidence + _EVIDENCE[trouble])
                self.calm = False

    def probed(self, member: Member) -> bool:
        """Whether the request of this member that has just ended was the probe, which decides about all others."""
        with self._lock:
            if self.prober is not member:
                return False
            self.prober = None
            return True

    def _permit_probe(self, member: Member) -> float:
        if member.on_way or self.prober not in {None, member}:
            return _PROBED_SECS
        self.prober = member
        return 0.0

    def _on_way(self) -> int:
        return sum(len(member.on_way) for member in self._members)

    def _settle(self, now: float) -> None:
        self.calm = self._limit is None and not self._evidence and now >= self._open_at


# Weak, so that a process that has many targets in its life does not keep them all.
_ENDPOINTS: WeakValueDictionary[tuple[str, str], Endpoint] = WeakValueDictionary()
# What keeps an endpoint whose `Retry-After` is not over yet, also if all its connections have closed.
_ASKED_TO_WAIT: Final[set[Endpoint]] = set()
_ENDPOINTS_LOCK: Final = threading.Lock()


def _keep(endpoint: Endpoint) -> None:
    with _ENDPOINTS_LOCK:
        _ASKED_TO_WAIT.add(endpoint)


def endpoint_of(place: str, proxy: str = "") -> Endpoint:
    """The state of scheme://host:port, as seen through a proxy.

    It is forgotten when no connection uses it and its last `Retry-After` is over.
    """
    with _ENDPOINTS_LOCK:
        now = time.monotonic()
        _ASKED_TO_WAIT.difference_update([each for each in _ASKED_TO_WAIT if not each.asked_secs(now)])
        found = _ENDPOINTS.get((place, proxy))
        if found is None:
            found = _ENDPOINTS[place, proxy] = Endpoint(f"{place} {proxy}")
        return found
