"""What a worker knows of an endpoint, shared by all of its connections and threads.

That is whether to leave it alone for a while, how many requests it can take at a time, and whether it is there at all:

- After `Retry-After`, and during the pause before a retry, nobody starts a request.
- Concurrency adapts by additive increase, multiplicative decrease: a wave of refusals or time-outs halves the number of
  requests on their way, each window of successes adds one.
- An endpoint that gave no sign of life for several waves is taken for dead. Then one request at a time finds out
  whether it is back, instead of each of them running into its own time limit.

A wave is all that was on its way when the first of it failed: what was sent later knows more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sized
from typing import Final
from weakref import WeakValueDictionary

from dovebeam.transforms.drivers.http.outcome import Outcome, Trouble
from dovebeam.transforms.drivers.rate_limit import TokenBucket

__all__ = ["Endpoint", "Member", "endpoint_of"]

_EVIDENCE: Final = {Trouble.UNREACHABLE: 8, Trouble.SLOW: 2, Trouble.LOST: 2}
_DEAD: Final = 24
"""Three waves without a connection, or twelve without an answer: a server may be slow for a while."""

_CROWDED_SECS: Final = 0.01
_PROBED_SECS: Final = 0.05


class Member:
    """A delivery that sends to an endpoint.

    Attributes:
        on_way: its requests that are on their way; only its length is looked at.
        size: how many it may have on their way.
    """

    __slots__ = ("on_way", "size")

    def __init__(self, on_way: Sized, size: int) -> None:
        self.on_way = on_way
        self.size = size


class Endpoint:
    """One endpoint. All methods may be called by any thread; times are of the monotonic clock, in seconds.

    Attributes:
        calm: whether there is nothing to heed: requests may be started without asking. A hint, read without the lock.
        closing: the last answer that asked to be left alone for a while.
        prober: who finds out whether a dead endpoint is back.
    """

    def __init__(self) -> None:
        self.calm = True
        self.closing: Outcome | None = None
        self.prober: Member | None = None
        self._lock = threading.Lock()
        self._members: list[Member] = []
        self._open_at = 0.0
        self._asked_until = 0.0
        self._limit: float | None = None
        self._cut_at = 0.0
        self._evidence = 0
        self._wave_at = 0.0
        self._buckets: dict[int, TokenBucket] = {}

    def join(self, member: Member) -> None:
        """Counts a delivery in, until it leaves."""
        with self._lock:
            self._members.append(member)

    def leave(self, member: Member) -> None:
        """Counts a delivery out, whatever became of its requests."""
        with self._lock:
            self._members.remove(member)
            if self.prober is member:
                self.prober = None

    def bucket(self, requests_per_second: int) -> TokenBucket:
        """The rate limiter that all with the same limit share."""
        with self._lock:
            return self._buckets.setdefault(requests_per_second, TokenBucket(requests_per_second))

    def asked_secs(self, now: float) -> float:
        """For how long the endpoint asked to be left alone, from now on; 0 if it did not."""
        return max(0.0, self._asked_until - now)

    def close_for(self, seconds: float, why: Outcome | None = None) -> None:
        """Lets nobody start a request for so long; a longer closure stays.

        Args:
            seconds: how long.
            why: the answer that asked for it; None for a pause of our own.
        """
        with self._lock:
            until = time.monotonic() + seconds
            if why is not None and until > self._asked_until:
                self._asked_until, self.closing = until, why
            if until > self._open_at:
                self._open_at, self.calm = until, False

    def permit(self, member: Member, now: float) -> float:
        """0 if the member may start a request now; else after how many seconds to ask again."""
        with self._lock:
            if now < self._open_at:
                return self._open_at - now
            if self._evidence >= _DEAD:
                return self._permit_probe(member)
            if self._limit is not None and self._on_way() >= max(1, int(self._limit)):
                return _CROWDED_SECS
            self._settle(now)
            return 0.0

    def succeeded(self, count: int) -> None:
        """So many requests were delivered."""
        with self._lock:
            self._evidence = 0
            self.prober = None
            if self._limit is not None:
                self._limit += count / self._limit
                if self._limit >= sum(member.size for member in self._members):
                    self._limit = None
            self._settle(time.monotonic())

    def failed(self, trouble: Trouble, started: float, *, adaptive: bool) -> None:
        """An attempt that began at `started` ended with trouble.

        Args:
            trouble: what it says of the endpoint.
            started: when the attempt began.
            adaptive: whether concurrency adapts.
        """
        with self._lock:
            now = time.monotonic()
            if adaptive and trouble in {Trouble.BUSY, Trouble.SLOW} and started >= self._cut_at:
                self._cut_at = now
                # The one that failed is not on its way any more, but was when that was too much.
                self._limit = max(1.0, (self._on_way() + 1) / 2)
                self.calm = False
            if trouble not in _EVIDENCE:
                self._evidence = 0
                self.prober = None
            elif started >= self._wave_at:
                self._wave_at = now
                self._evidence = min(_DEAD, self._evidence + _EVIDENCE[trouble])
                self.calm = False

    def probed(self, member: Member) -> bool:
        """Whether the request that this member has on its way decides about all others; asked when it ended."""
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


_ENDPOINTS: WeakValueDictionary[tuple[str, str], Endpoint] = WeakValueDictionary()
_ENDPOINTS_LOCK: Final = threading.Lock()


def endpoint_of(place: str, proxy: str = "") -> Endpoint:
    """What this process knows of scheme://host:port, as seen through a proxy; forgotten when nobody uses it."""
    with _ENDPOINTS_LOCK:
        found = _ENDPOINTS.get((place, proxy))
        if found is None:
            found = _ENDPOINTS[place, proxy] = Endpoint()
        return found
