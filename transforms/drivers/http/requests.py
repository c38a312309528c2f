"""Which payloads of a batch go into which request: cutting a batch into requests, and requests into halves."""

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


ALIKE: Final = 8
"""How many single events, with the last ones of what is left, speak for all: if half of 1,000 events are bad, that goes
wrong in one case of 30,000."""


class Part(Protocol):
    """A part of a request, as long as it has events."""

    def __len__(self) -> int:
        """How many events it has."""
        ...  # pragma: no cover

    def cut_off_last(self) -> Self:
        """The last event by itself; the part ends before it."""
        ...  # pragma: no cover


_Part = TypeVar("_Part", bound=Part)


class Search(Generic[_Part]):
    """What came of the parts of one request so far.

    Attributes:
        status: with which the request was refused.
        left: how many parts are on their way or still to be sent.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        self.left = 1
        self._alike = 0
        self._otherwise = False
        self._sampled = False
        self._aside: list[_Part] = []

    def sets_aside(self, part: _Part, status: int) -> bool:
        """Whether a part that was refused is not to be halved, at least not now."""
        if self._otherwise or self._alike < ALIKE or status != self.status:
            return False
        self._aside.append(part)
        self.left -= 1
        return True

    def ended(self, part: _Part, status: int | None, *, delivered: bool) -> None:
        """A part was delivered or has failed for good, with a status if there was an answer."""
        self.left -= 1
        if delivered or (status is not None and status != self.status):
            self._otherwise = True
        elif status is not None and len(part) == 1:
            self._alike += 1

    def taken_up(self) -> list[_Part]:
        """Parts that were set aside and are to be halved now."""
        parts, self._aside = (self._aside, []) if self._otherwise else ([], self._aside)
        self.left += len(parts)
        return parts

    def samples(self) -> list[_Part]:
        """Single events of the parts that were set aside, to be sent before those are rejected."""
        if self.left or self._sampled:
            return []
        self._sampled = True
        samples = [part.cut_off_last() for part in self._aside]
        self.left += len(samples)
        return samples

    def given_up(self) -> list[_Part]:
        """Parts that were set aside and are to be rejected, because nothing else is left."""
        parts, self._aside = ([], self._aside) if self.left else (self._aside, [])
        return parts


# The bodies of requests: one payload as Dovecot sends it, or several framed as lines or as a JSON array, compressed.
#
# With one event a request and nothing else asked for, the body is the payload and the Content-Type is Dovecot's.

LINE_CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType({**CONTENT_TYPES, "json": "application/x-ndjson"})
"""The content types of bodies of lines."""

_GZIP_LEVEL: Final = 4  # the best ratio that does not cost more than sending
_ZSTD_LEVEL: Final = 3
_GZIP_WBITS: Final = 31


def frame_bytes(payloads: int) -> int:
    """How many bytes framing adds to so many payloads, whatever the framing: one each, and one to begin with."""
    return payloads + 1


class BodyMaker:
    """Makes bodies and says what their headers are.

    Attributes:
        content_type: the value of Content-Type.
        content_encoding: the value of Content-Encoding, empty without compression.
        plain: whether a body is one payload and nothing else.
    """

    def __init__(
        self, payload_format: str, *, batched: bool, batch_format: str, compression: str, content_type: str = ""
    ) -> None:
        lines = batch_format == "lines"
        framed = batched or not lines
        types = LINE_CONTENT_TYPES if framed and lines else CONTENT_TYPES
        self.content_type = content_type or types[payload_format]
        self.content_encoding = "" if compression == "none" else compression
        self.plain = not framed and not self.content_encoding
        self._frame = (_lines if lines else _array) if framed else _only
        self._compress = _COMPRESSORS[compression]

    @classmethod
    def of(cls, settings: HttpPostSettings) -> BodyMaker:
        """What makes the bodies that an exporter is to send."""
        return cls(
            settings.format,
            batched=settings.http_post_batch_max_events > 1,
            batch_format=settings.http_post_batch_format,
            compression=settings.http_post_compression,
            content_type=settings.http_post_content_type,
        )

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The body of a request with these payloads; the same bytes whenever they are the same."""
        return self._compress(self._frame(payloads))


def _only(payloads: Sequence[bytes]) -> bytes:
    return payloads[0]


def _lines(payloads: Sequence[bytes]) -> bytes:
    """JSON Lines and the like: every line ends, the last one too."""
    return b"\n".join((*payloads, b""))


def _array(payloads: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(payloads) + b"]"


def _gzip(body: bytes) -> bytes:
    # Without a time and a name in its head, so that equal bodies stay equal.
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)


def _as_it_is(body: bytes) -> bytes:
    return body


_COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"none": _as_it_is, "gzip": _gzip, "zstd": _zstd}
)


# Which payloads of a batch go into which request: cutting a batch into requests, and requests into halves.


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
