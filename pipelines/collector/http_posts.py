"""Dovecot's `http-post` driver as a peer: each request is a line, and 204 says that it is in the spool.

Dovecot forgets an event for whatever else it is answered, except 503 with `Retry-After` if it is told to make several
attempts. It keeps its connection until the server closes it, and loses the event that it sends at that moment; so a
connection that has sent a request is not closed for being idle, within the hour.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from dovebeam.pipelines.collector.counts import Counts
from dovebeam.pipelines.collector.writer import RETRY_SECS, SpoolWriter
from dovebeam.transforms.errors import DeliveryError

__all__ = ["HttpPosts", "HttpSettings"]

_IDLE_SECS: Final = 3600.0
_RETRY_AFTER: Final = str(int(10 * RETRY_SECS))
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})  # which aiohttp decodes


class HttpSettings:
    """What a listener accepts.

    Args:
        location: the one path.
        token: what to send as bearer token or as the password of basic authentication; empty for nothing.
        max_body_bytes: larger requests are refused.
        request_timeout: seconds for a request to be complete once its head came, and for the first head to come.
    """

    def __init__(self, location: str, token: str, max_body_bytes: int, request_timeout: float) -> None:
        self.location = location
        self.token = token.encode("utf-8", "surrogateescape")
        self.max_body_bytes = max_body_bytes
        self.request_timeout = request_timeout


class HttpPosts:
    """The connections of an http listener.

    Args:
        writer: gets the lines.
        counts: counts what was refused.
        settings: what is accepted.
    """

    def __init__(self, writer: SpoolWriter, counts: Counts, settings: HttpSettings) -> None:
        self._writer = writer
        self._counts = counts
        self._settings = settings
        self._server = web.Server(self._answer)

    def protocol(self, ended: Callable[[], None]) -> asyncio.Protocol:
        """The protocol of a new connection; `ended` is called once it is over."""
        return _Connection(self._server, ended, self._settings.request_timeout)

    async def stop(self, seconds: float) -> None:
        """Answers the requests that are being read, and closes all connections."""
        self._server.pre_shutdown()
        await self._server.shutdown(seconds)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            await self._take(request)
        except _RefusedError as refused:
            self._counts.refused += 1
            response = web.Response(status=refused.status, headers=refused.headers, text=f"{refused.text}\n")
            response.force_close()  # what was not read of the body is in the way
            return response
        return web.Response(status=204)

    async def _take(self, request: web.BaseRequest) -> None:
        protocol = request.protocol
        if isinstance(protocol, _Connection):
            protocol.has_begun = True
        self._check_head(request)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        lines = await self._body(request)
        if lines:
            try:
                await self._writer.append(lines)
            except DeliveryError:
                raise _RefusedError(503, "the spool cannot be written to", {hdrs.RETRY_AFTER: _RETRY_AFTER}) from None

    def _check_head(self, request: web.BaseRequest) -> None:
        settings = self._settings
        if settings.token and not _knows(settings.token, request.headers.get(hdrs.AUTHORIZATION, "")):
            raise _RefusedError(401, "send the token", {hdrs.WWW_AUTHENTICATE: 'Basic realm="dovebeam collect"'})
        if request.path != settings.location:
            raise _RefusedError(404, "nothing is collected at this path")
        if request.method != hdrs.METH_POST:
            raise _RefusedError(405, "send events with POST", {hdrs.ALLOW: hdrs.METH_POST})
        if request.headers.get(hdrs.CONTENT_ENCODING, "").lower() not in _ENCODINGS:
            raise _RefusedError(415, "send it as it is, or compressed with gzip")
        if (request.content_length or 0) > settings.max_body_bytes:
            raise _RefusedError(413, f"at most {settings.max_body_bytes} bytes")

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The lines of the body, each with its end, without empty ones."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                async for part in request.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > self._settings.max_body_bytes:
                        raise _RefusedError(413, f"at most {self._settings.max_body_bytes} bytes")
        except TimeoutError:
            raise _RefusedError(408, "the body did not come") from None
        except (web.RequestPayloadError, HttpProcessingError):
            raise _RefusedError(400, "the body is broken") from None
        return b"".join(line + b"\n" for line in b"".join(parts).split(b"\n") if line)


class _RefusedError(Exception):
    """A request that is not taken."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers


class _Connection(web.RequestHandler):
    """A connection that tells its end, and is closed if no request comes at all."""

    def __init__(self, server: web.Server, ended: Callable[[], None], first_request_secs: float) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, logger=_LOG, access_log=_NO_LOG, keepalive_timeout=_IDLE_SECS)
        self.has_begun = False
        self._ended = ended
        self._patience = loop.call_later(first_request_secs, self._close_unused)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._patience.cancel()
        self._ended()

    def _close_unused(self) -> None:
        if not self.has_begun:
            self.force_close()


def _is_about_us(record: logging.LogRecord) -> bool:
    """Whether a message is about a fault of this program, not about a peer that speaks no HTTP, who was told so."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_LOG: Final = logging.getLogger("dovebeam.collect")
_LOG.addFilter(_is_about_us)
_NO_LOG: Final = logging.getLogger("dovebeam.collect.requests")
_NO_LOG.disabled = True


def _knows(token: bytes, header: str) -> bool:
    """Whether an Authorization header has the token, as Dovecot (basic) or others (bearer) would send it."""
    scheme, _, value = header.partition(" ")
    given = value.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given, token)
