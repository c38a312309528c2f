"""Requests of a batch: how it is cut into requests, their bodies, and the search for refused events in one.

Pure functions and values; the search decides by halving which payloads of a refused request are rejected.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Generic, Protocol, Self, TypeVar

import zstandard

from dovebeam.transforms.drivers.http.settings import CONTENT_TYPES, HttpPostSettings

__all__ = [
    "ALIKE",
    "BodyMaker",
    "Request",
    "Search",
    "end_of_request",
    "request_key",
]


class Request:
    """One request, through all of its attempts: consecutive payloads of a batch.

    Attributes:
        first: index of its first payload in the batch.
        end: the index after its last one.
        tries: how many attempts have failed.
        since: start of its first attempt, on the monotonic clock in seconds; 0 before one failed.
        renewed: whether it was sent again with other credentials.
        redirects: number of redirects that the present attempt has followed.
        redirect_secs: how long those took.
        head_at: when the head of its answer was first seen complete without its body; 0 for not yet.
        search: the search for refused events that this request is a part of.
    """

    # Class attributes as defaults: each event may have a request of its own, and most never change one of these.
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
        """Two requests with the same payloads in the same order; neither has used an attempt."""
        middle = (self.first + self.end) // 2
        first, second = Request(self.first, middle), Request(middle, self.end)
        # The retry budget goes on, or halving could make it as many times as long.
        first.since = second.since = self.since
        if self.search is not None:
            first.search = second.search = self.search
            self.search.left += 1
        return first, second

    def cut_off_last(self) -> Request:
        """Removes the last payload and returns it as a request of its own; there must be at least two."""
        self.end -= 1
        last = Request(self.end, self.end + 1)
        last.since, last.search = self.since, self.search
        return last


def end_of_request(payloads: Sequence[bytes], first: int, max_events: int, max_bytes: int | None) -> int:
    """Index after the longest request from `first` on within both limits; it has at least one payload.

    Args:
        payloads: the batch.
        first: index of the first payload.
        max_events: most payloads of a request.
        max_bytes: most bytes of a body before compression; None for no limit.
    """
    end = min(first + max_events, len(payloads))
    # The usual case, all of them, costs one sum; only if they are too long each payload is looked at.
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
        keys: an id of each payload of the batch; without them the contents are used.
        first: index of the request's first payload.
        end: the index after its last one.
    """
    # A request of one event has the event's own key, which so stays the same when a batch is halved down to it.
    ids = keys[first:end] if keys else [hashlib.sha256(payload).hexdigest() for payload in payloads[first:end]]
    return ids[0] if len(ids) == 1 else hashlib.sha256("\0".join(ids).encode()).hexdigest()


# Bodies: one payload as Dovecot sends it, or several framed as lines or as a JSON array, and perhaps compressed.
#
# By default the body is the payload and the Content-Type is Dovecot's.

LINE_CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType({**CONTENT_TYPES, "json": "application/x-ndjson"})
"""The Content-Types of bodies of lines."""

# The best ratio that does not cost more time than sending does.
_GZIP_LEVEL: Final = 4
_ZSTD_LEVEL: Final = 3
# 15 for the window, 16 for a gzip header.
_GZIP_WBITS: Final = 31


def frame_bytes(payloads: int) -> int:
    """Most bytes that any framing adds to so many payloads: one each, and one more for an array's brackets."""
    return payloads + 1


class BodyMaker:
    """Makes bodies, and has the headers that belong to them.

    Attributes:
        content_type: the value of Content-Type.
        content_encoding: the value of Content-Encoding, empty without compression.
        plain: whether a body is one payload and nothing else.
    """

    def __init__(
        self, payload_format: str, *, batched: bool, batch_format: str, compression: str, content_type: str = ""
    ) -> None:
        lines = batch_format == "lines"
        # An array of one event is still an array: its reader must not have to guess.
        framed = batched or not lines
        types = LINE_CONTENT_TYPES if framed and lines else CONTENT_TYPES
        self.content_type = content_type or types[payload_format]
        self.content_encoding = "" if compression == "none" else compression
        self.plain = not framed and not self.content_encoding
        self._frame = (_lines if lines else _array) if framed else _only
        self._compress = _COMPRESSORS[compression]

    @classmethod
    def of(cls, settings: HttpPostSettings) -> BodyMaker:
        """The maker of an exporter's bodies."""
        return cls(
            settings.format,
            batched=settings.http_post_batch_max_events > 1,
            batch_format=settings.http_post_batch_format,
            compression=settings.http_post_compression,
            content_type=settings.http_post_content_type,
        )

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The body of a request; equal payloads give equal bytes, so a retry sends what was sent before."""
        return self._compress(self._frame(payloads))


def _only(payloads: Sequence[bytes]) -> bytes:
    return payloads[0]


def _lines(payloads: Sequence[bytes]) -> bytes:
    """JSON Lines and the like: every line ends in a newline, the last one too."""
    return b"\n".join((*payloads, b""))


def _array(payloads: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(payloads) + b"]"


def _gzip(body: bytes) -> bytes:
    # `compressobj` writes neither time nor name into the header, so equal bodies stay equal.
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


def _as_it_is(body: bytes) -> bytes:
    return body


_COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"none": _as_it_is, "gzip": _gzip, "zstd": _zstd}
)


# The search for refused events, after a request was refused for something in it (400, 422).

ALIKE: Final = 8
"""How many single events must be refused alike, with the last one of each part that is left, before all are rejected.

If half of 1,000 events are bad, this is wrong in one case of 30,000."""


class Part(Protocol):
    """A part of a request; all that the search needs to know of one."""

    def __len__(self) -> int:
        """Number of events."""
        ...  # pragma: no cover

    def cut_off_last(self) -> Self:
        """Removes the last event and returns it as a part of its own."""
        ...  # pragma: no cover


_Part = TypeVar("_Part", bound=Part)


class Search(Generic[_Part]):
    """The state of the search in one refused request: what happened to its parts so far.

    Parts are halved until `ALIKE` single events were refused with the status of the whole, and nothing was delivered.
    Then the other parts are set aside. A sample of each decides: if one is treated otherwise, halving goes on.

    Attributes:
        status: with which the request was refused.
        left: how many parts are in flight or still to be sent.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        # The request itself, which is then halved.
        self.left = 1
        self._alike = 0
        self._otherwise = False
        self._sampled = False
        self._aside: list[_Part] = []

    def sets_aside(self, part: _Part, status: int) -> bool:
        """Sets aside a refused part instead of halving it, if that seems useless by now; returns whether it did."""
        if self._otherwise or self._alike < ALIKE or status != self.status:
            return False
        self._aside.append(part)
        self.left -= 1
        return True

    def ended(self, part: _Part, status: int | None, *, delivered: bool) -> None:
        """Counts a part that was delivered or has failed for good, with a status if there was an answer."""
        self.left -= 1
        if delivered or (status is not None and status != self.status):
            self._otherwise = True
        elif status is not None and len(part) == 1:
            self._alike += 1

    def taken_up(self) -> list[_Part]:
        """Parts that were set aside and must be halved after all, because an event was not refused like the others."""
        parts, self._aside = (self._aside, []) if self._otherwise else ([], self._aside)
        self.left += len(parts)
        return parts

    def samples(self) -> list[_Part]:
        """The last event of each part that was set aside, to be sent before the parts are rejected."""
        # Only when nothing else is in flight, and once.
        if self.left or self._sampled:
            return []
        self._sampled = True
        samples = [part.cut_off_last() for part in self._aside]
        self.left += len(samples)
        return samples

    def given_up(self) -> list[_Part]:
        """Parts that were set aside and must be rejected, because nothing else is left."""
        parts, self._aside = ([], self._aside) if self.left else (self._aside, [])
        return parts
