"""Connections of http clients, none of which can keep its place by doing nothing, or little.

Between two requests a connection may be silent for an hour, because Dovecot loses the event that it sends just when a
server closes. But a request that has begun must become complete, and an answer must be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from dovebeam.pipelines.collect.listeners import Slot

__all__ = ["HttpConnection", "RequestBorders"]

_IDLE_SECS: Final = 3600.0
_LINGER_SECS: Final = 2.0  # in which what was not read of a refused body is thrown away, so that its answer arrives
_SEND_BYTES: Final = 32 * 1024  # answers are small; megabytes of them are those that nobody reads
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})", re.IGNORECASE | re.MULTILINE)
_CHUNKED: Final = re.compile(rb"^transfer-encoding:.*chunked", re.IGNORECASE | re.MULTILINE)
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_MAX_HEAD_BYTES: Final = 2 * 1024 * 1024  # beyond what the server itself allows


class RequestBorders:
    """Where requests begin and end in what a client sends; only to know whether one has begun.

    What follows the chunks of a body is taken for the begin of a head, until the next request is complete.
    """

    def __init__(self) -> None:
        self._head = b""
        self._body = 0
        self._is_chunked = False
        self._is_after_chunks = False

    @property
    def is_within_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return bool(self._head)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        while data:
            if self._is_chunked:
                self._head = (self._head + data)[-len(_LAST_CHUNK) :]
                return
            if self._body:
                taken = min(self._body, len(data))
                self._body, data = self._body - taken, data[taken:]
                continue
            self._head = (self._head + data).lstrip(b"\r\n")[:_MAX_HEAD_BYTES]
            head, end, data = self._head.partition(_HEAD_END)
            if not end:
                return
            self._head = b""
            length = _LENGTH.search(head)
            self._body = int(length[1]) if length else 0
            self._is_chunked = _CHUNKED.search(head) is not None

    def begun(self) -> None:
        """A head is complete."""
        if not self._is_chunked and self._is_after_chunks:
            self._head = b""
        self._is_after_chunks = False

    def answered(self) -> None:
        """The request that was sent has been answered; what follows is the next one."""
        if self._is_chunked:
            self._is_chunked = False
            if self._head == _LAST_CHUNK:
                self._head = b""
            self._is_after_chunks = bool(self._head)


class HttpConnection(web.RequestHandler):
    """A connection that tells its slot what it does.

    Args:
        server: answers its requests.
        slot: of this connection.
        timeout_secs: for the first head to come, a head that has begun to be complete, and an answer to be taken.
    """

    def __init__(self, server: web.Server, slot: Slot, timeout_secs: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=_LOG,
            access_log=_NO_LOG,
            keepalive_timeout=_IDLE_SECS,
            lingering_time=_LINGER_SECS,
            auto_decompress=False,  # it would be done in the event loop, before anybody has said who he is
        )
        self.slot = slot
        self._timeout_secs = timeout_secs
        self._borders = RequestBorders()
        self._is_busy = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._wait_impatiently()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        with contextlib.suppress(OSError):  # gone already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop, and by the base class with nothing to go on with what it has."""
        self._borders.feed(data)
        if not self._is_busy and self._borders.is_within_head:
            self._wait_impatiently()
        super().data_received(data)

    def begin_request(self) -> None:
        """The head of a request is complete."""
        self._is_busy = True
        self._borders.begun()
        self.slot.busy()
        self._wait_patiently()

    async def finish_response(self, request: Any, resp: Any, start_time: Any) -> tuple[Any, bool]:
        """Called by the base class to send an answer."""
        try:
            async with asyncio.timeout(self._timeout_secs):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:  # who sends but does not read
            self._end()
            return resp, True
        finally:
            self._is_busy = False
            self.slot.idle()
            self._borders.answered()
            if self._borders.is_within_head:
                self._wait_impatiently()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        self._wait_patiently()
        self.slot.end()

    def _wait_impatiently(self) -> None:
        """From the first byte on; more of them give no more time."""
        if self._end_timer is None:
            self._end_timer = asyncio.get_running_loop().call_later(self._timeout_secs, self._end)

    def _end(self) -> None:
        """At once: an orderly end would wait for the peer to read what was sent."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def _wait_patiently(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None


def _is_about_us(record: logging.LogRecord) -> bool:
    """Whether a message is about a fault of this program, not about a peer that speaks no HTTP, who was told so."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_LOG: Final = logging.getLogger("dovebeam.collect")
_LOG.addFilter(_is_about_us)
_NO_LOG: Final = logging.getLogger("dovebeam.collect.requests")
_NO_LOG.disabled = True
