"""What the fault server does with a request: rules, and the answers that are none."""

from __future__ import annotations

import email.utils
import gzip
import io
import re
import time
from dataclasses import dataclass
from typing import cast

_ID = re.compile(rb'"id":"([^"]{1,40})"')


BROKEN = {
    "half_head": b"HTTP/1.1 2",
    "half_body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "garbage": bytes(range(128, 256)) * 8,
    "close": b"",
}
"""What is sent instead of an answer, by the action."""


@dataclass
class Rule:
    """What to do with requests.

    Attributes:
        requests: for how many requests; None for any number.
        secs: for how long after its first request; None for ever.
        delay_secs: how long the answer takes.
        status: of the answer.
        headers: lines of the answer.
        retry_after_secs: adds Retry-After, if not 0.
        retry_after_as: "seconds", or "date".
        max_body: a longer body is answered with 413, if not 0.
        max_at_once: while so many requests are being served a further one is answered with 429 at once, if not 0.
        poison: a body with an event of this id is answered with 400.
        bytes_per_sec: how fast bodies are read, over all connections together; 0 for as fast as they come.
        action: "answer", or: "never" answer, "reset_early" (before the body is read), "reset_late" (after it),
            "reset_acknowledged" (after it was taken for delivered), "half_head", "half_body", "garbage", "close",
            "endless" (a body), "refuse_early" (the answer comes and the connection is closed before the body is read).
    """

    requests: int | None = None
    secs: float | None = None
    delay_secs: float = 0.0
    status: int = 204
    headers: tuple[str, ...] = ()
    retry_after_secs: int = 0
    retry_after_as: str = "seconds"
    max_body: int = 0
    max_at_once: int = 0
    poison: str = ""
    bytes_per_sec: int = 0
    action: str = "answer"
    until: float | None = None

    def use(self) -> bool:
        """Whether it still holds, for one request more."""
        if self.secs is not None:
            self.until = self.until or time.monotonic() + self.secs
            if time.monotonic() > self.until:
                return False
        if self.requests is not None:
            if self.requests == 0:
                return False
            self.requests -= 1
        return True

    def answer(self, status: int) -> bytes:
        """A whole answer."""
        lines = [f"HTTP/1.1 {status} Whatever", *self.headers]
        if self.retry_after_secs and self.retry_after_as == "date":
            # A date has whole seconds: the next one, so that no less than the asked time is meant.
            lines.append(
                f"Retry-After: {email.utils.formatdate(int(time.time()) + 1 + self.retry_after_secs, usegmt=True)}"
            )
        elif self.retry_after_secs:
            lines.append(f"Retry-After: {self.retry_after_secs}")
        if status != 204:
            lines.append("Content-Length: 0")
        return "\r\n".join([*lines, "", ""]).encode()


def event_ids(body: bytes, encoding: str) -> list[str]:
    """The events in a body, by their field `id`."""
    return [found.decode() for found in _ID.findall(_decoded(body, encoding))]


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)) as stream:
            return cast("bytes", stream.read())
    return body
