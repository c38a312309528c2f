"""Connections of HTTP clients, with time limits for slow ones (a defence against slow-loris clients).

Between two requests a connection may be silent for an hour, because Dovecot loses an event that it sends at the moment
when the server closes. But a request that has started must become complete in time, and its answer must be read.
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
# How long the rest of a refused body is read and thrown away. Closing at once would reset the connection, and the
# client would lose the answer.
_LINGER_SECS: Final = 2.0
# Answers are small. With the kernel's default buffer, a client that never reads could collect megabytes of them.
_SEND_BYTES: Final = 32 * 1024
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})", re.IGNORECASE | re.MULTILINE)
_CHUNKED: Final = re.compile(rb"^transfer-encoding:.*chunked", re.IGNORECASE | re.MULTILINE)
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_MAX_HEAD_BYTES: Final = 2 * 1024 * 1024  # beyond what the server itself allows


class RequestBorders:
    """Tracker of the borders of requests in what a client sends; it tells whether a head has started.

    aiohttp's parser does not tell whether half a head lies in it. What this class finds decides about time limits only,
    never about what a request is, so it may guess: after a chunked body the next bytes count as the start of a head.
    """

    def __init__(self) -> None:
        self._head = b""
        self._body = 0
        self._is_chunked = False
        self._is_after_chunks = False

    @property
    def is_within_head(self) -> bool:
        """Whether a head has started and is not complete."""
        return bool(self._head)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes from the client."""
        while data:
            # The end of a chunked body is known from the answer, not from its chunks; only its last bytes are kept.
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
        """Called when aiohttp has parsed a complete head."""
        if not self._is_chunked and self._is_after_chunks:
            self._head = b""
        self._is_after_chunks = False

    def answered(self) -> None:
        """Called when the request was answered; the bytes that follow belong to the next one."""
        if self._is_chunked:
            self._is_chunked = False
            # Anything but the last chunk's end is the start of a pipelined request.
            if self._head == _LAST_CHUNK:
                self._head = b""
            self._is_after_chunks = bool(self._head)


class HttpConnection(web.RequestHandler):
    """An HTTP connection that reports its activity to its slot.

    Args:
        server: answers its requests.
        slot: of this connection.
        timeout_secs: limit for the first head to arrive, for a started head to become complete, and for an answer to be
            read.
    """

    def __init__(self, server: web.Server, slot: Slot, timeout_secs: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=_LOG,
            access_log=_NO_LOG,
            keepalive_timeout=_IDLE_SECS,
            lingering_time=_LINGER_SECS,
            # Decompressing would block the event loop, and would serve clients that have not sent the token yet.
            auto_decompress=False,
        )
        self.slot = slot
        self._timeout_secs = timeout_secs
        self._borders = RequestBorders()
        self._is_busy = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._start_timer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop for a new connection."""
        with contextlib.suppress(OSError):  # gone already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with new bytes, and by the base class with none to continue with buffered ones."""
        self._borders.feed(data)
        if not self._is_busy and self._borders.is_within_head:
            self._start_timer()
        super().data_received(data)

    def begin_request(self) -> None:
        """Called when the head of a request is complete; its body has a time limit of its own."""
        self._is_busy = True
        self._borders.begun()
        self.slot.busy()
        self._stop_timer()

    async def finish_response(self, request: Any, resp: Any, start_time: Any) -> tuple[Any, bool]:
        """Called by the base class to send an answer."""
        try:
            async with asyncio.timeout(self._timeout_secs):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:  # the client sends, but does not read answers
            self._end()
            return resp, True
        finally:
            self._is_busy = False
            self.slot.idle()
            self._borders.answered()
            # A pipelined request may have arrived in part while this one was answered.
            if self._borders.is_within_head:
                self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop when the connection is over."""
        super().connection_lost(exc)
        self._stop_timer()
        self.slot.end()

    def _start_timer(self) -> None:
        # A running timer is kept: a client that sends a byte now and then gets no more time.
        if self._end_timer is None:
            self._end_timer = asyncio.get_running_loop().call_later(self._timeout_secs, self._end)

    def _end(self) -> None:
        """Aborts the connection; an orderly end would wait for the client to read what was sent."""
        # Taken first, since `force_close` forgets the transport.
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def _stop_timer(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None


def _is_about_us(record: logging.LogRecord) -> bool:
    """Whether a message of aiohttp is about this program, not about a client that sent invalid HTTP and got 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_LOG: Final = logging.getLogger("dovebeam.collect")
_LOG.addFilter(_is_about_us)
_NO_LOG: Final = logging.getLogger("dovebeam.collect.requests")
_NO_LOG.disabled = True
