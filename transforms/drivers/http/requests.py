"""Which payloads of a batch go into which request: cutting a batch into requests, and requests into halves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dovebeam.transforms.drivers.http.bodies import frame_bytes
from dovebeam.transforms.drivers.http.search import Search

__all__ = ["Request", "end_of_request", "request_key"]


class Request:
    """One request, through all of its attempts; as little as possible is done to make one, for each event has its own.

    Attributes:
        first: index of its first payload in the batch.
        end: the index after its last one.
        tries: how many attempts have failed.
        since: when its first attempt began, on the monotonic clock in seconds; 0 before one failed.
        renewed: whether it was sent again with another credential.
        redirects: how many the present attempt has followed.
        redirect_secs: how long those took.
        head_at: when the head of its answer was seen to be complete while its body was not; 0 for not yet.
        search: for the culprits of the request that this is a part of.
    """

    tries = 0
    since = 0.0
    renewed = False
    redirects = 0
    redirect_secs = 0.0
    head_at = 0.0
    search: Search[Request] | None = None

    def __init__(self, first: int, end: int) -> None:
        self.first = first
        self.end = end

    def __len__(self) -> int:
        return self.end - self.first

    def halves(self) -> tuple[Request, Request]:
        """Two requests with the same payloads in the same order; both have all their attempts before them."""
        middle = (self.first + self.end) // 2
        first, second = Request(self.first, middle), Request(middle, self.end)
        first.since = second.since = self.since
        if self.search is not None:
            first.search = second.search = self.search
            self.search.left += 1
        return first, second

    def cut_off_last(self) -> Request:
        """Makes a request of its own of the last payload; there must be at least two."""
        self.end -= 1
        last = Request(self.end, self.end + 1)
        last.since, last.search = self.since, self.search
        return last


def end_of_request(payloads: Sequence[bytes], first: int, max_events: int, max_bytes: int | None) -> int:
    """The end of the longest request from `first` on within both limits; one payload is always in it.

    Args:
        payloads: the batch.
        first: index of the first payload.
        max_events: most payloads of a request.
        max_bytes: most bytes of a body before compression; None for no limit.
    """
    end = min(first + max_events, len(payloads))
    if max_bytes is None or sum(map(len, payloads[first:end])) + frame_bytes(end - first) <= max_bytes:
        return end
    size, last = frame_bytes(1) + len(payloads[first]), first + 1
    while last < end and size + len(payloads[last]) + 1 <= max_bytes:
        size += len(payloads[last]) + 1
        last += 1
    return last


def request_key(payloads: Sequence[bytes], keys: Sequence[str], first: int, end: int) -> str:
    """The idempotency key of a request: the same whenever the same payloads are sent together.

    Args:
        payloads: the batch.
        keys: an id of each payload of the batch; without them the contents stand for them.
        first: index of the request's first payload.
        end: the index after its last one.
    """
    ids = keys[first:end] if keys else [hashlib.sha256(payload).hexdigest() for payload in payloads[first:end]]
    return ids[0] if len(ids) == 1 else hashlib.sha256("\0".join(ids).encode()).hexdigest()
