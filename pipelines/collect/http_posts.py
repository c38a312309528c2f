"""Server for Dovecot's `http-post` driver: the body of a request holds lines, and 204 says that they are in the spool.

Dovecot drops an event at any other status, except 503 with `Retry-After` if it is set to make several attempts. The
token is checked before anything of a body is read. A compressed body must be complete, and is never decompressed beyond
a limit.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from dovebeam.pipelines.collect.http_connections import HttpConnection
from dovebeam.pipelines.collect.listeners import Slot
from dovebeam.pipelines.collect.writer import RETRY_SECS, Counts, SpoolWriter
from dovebeam.transforms.errors import DeliveryError, DovebeamError
from dovebeam.transforms.sources import FileStream, decompress

__all__ = ["ENCODINGS", "BrokenBodyError", "HttpPosts", "HttpSettings", "unpacked"]

ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Values of Content-Encoding that are supported."""

# Small steps: each gzip member copies what is left of a step, so thousands of tiny members would copy megabytes each.
_STEP_BYTES: Final = 4096
# Several of the writer's own attempts, so that a client's retry finds the spool repaired.
_RETRY_AFTER: Final = str(int(10 * RETRY_SECS))


class BrokenBodyError(DovebeamError):
    """A body that is incomplete, or not compressed as its header says."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompressed content of a body; of a longer content at least its first `limit` bytes.

    It blocks, so it is not for an event loop.

    Args:
        body: as it was sent.
        encoding: one of `ENCODINGS`.
        limit: bytes after which decompression may stop.

    Raises:
        BrokenBodyError: the body is cut off, damaged, or something follows its end.
    """
    if encoding in {"", "identity"}:
        return body
    return _inflated(body, limit) if encoding == "deflate" else _gunzipped(body, limit)


def _gunzipped(body: bytes, limit: int) -> bytes:
    if not body:
        raise BrokenBodyError("the gzip data is cut off")
    stream = decompress(_Steps(body), "gzip")
    try:
        content = stream.read(limit)
        # A stream that is cut off gives what it has, and raises at the next read.
        if len(content) < limit:
            stream.read(1)
    except DovebeamError as error:
        raise BrokenBodyError("the gzip data is damaged or cut off") from error
    return content


class _Steps(FileStream):
    """A stream over a body that is read in small steps."""

    def __init__(self, body: bytes) -> None:
        super().__init__(io.BytesIO(body), "")

    def read(self, size: int, /) -> bytes:
        """At most one step of bytes."""
        return super().read(min(size, _STEP_BYTES))


def _inflated(body: bytes, limit: int) -> bytes:
    """Content of a body with Content-Encoding deflate."""
    # RFC 9110 means zlib's format; some clients send raw deflate data without zlib's header.
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window_bits)
        try:
            content = unpacker.decompress(body, limit)
        except zlib.error:
            continue
        if len(content) >= limit or (unpacker.eof and not unpacker.unused_data):
            return content
    raise BrokenBodyError("the deflate data is damaged or cut off")


class HttpSettings:
    """Settings of an HTTP listener.

    Args:
        location: the one path that is accepted.
        token: required as bearer token or as the password of basic authentication; empty for none.
        max_body_bytes: larger requests are refused.
        request_timeout: limit in seconds for a body to become complete, and for what `HttpConnection` waits for.
    """

    def __init__(self, location: str, token: str, max_body_bytes: int, request_timeout: float) -> None:
        self.location = location
        self.token = token.encode("utf-8", "surrogateescape")
        self.max_body_bytes = max_body_bytes
        self.request_timeout = request_timeout


class HttpPosts:
    """Connections of an HTTP listener.

    Args:
        writer: gets the lines.
        counts: counts refused requests.
        settings: of the listener.
    """

    def __init__(self, writer: SpoolWriter, counts: Counts, settings: HttpSettings) -> None:
        self._writer = writer
        self._counts = counts
        self._settings = settings
        self._server = web.Server(self._answer)
        # Never in the event loop; and one thread, so that at most one body is decompressed at a time.
        self._unpacking = ThreadPoolExecutor(1, "unpack")

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """Protocol of a new connection."""
        return HttpConnection(self._server, slot, self._settings.request_timeout)

    async def stop(self, seconds: float) -> None:
        """Answers requests that are being read, and closes all connections within that time."""
        self._server.pre_shutdown()
        await self._server.shutdown(seconds)
        self._unpacking.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("HttpConnection", request.protocol)
        connection.begin_request()
        try:
            await self._take(request, connection.slot)
        except _RefusedError as refused:
            self._counts.refused += 1
            response = web.Response(status=refused.status, headers=refused.headers, text=f"{refused.text}\n")
            # The unread rest of the body would be taken for the next request.
            response.force_close()
            return response
        return web.Response(status=204)

    async def _take(self, request: web.BaseRequest, slot: Slot) -> None:
        encoding = self._check_head(request)
        # Only after the checks: a client that asks first need not send a body that will be refused.
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        lines = await self._lines(await self._body(request), encoding)
        # From a complete, authenticated body on the client is trusted with its place.
        slot.prove()
        slot.busy()
        if lines:
            try:
                await self._writer.append(lines)
            except DeliveryError:
                raise _RefusedError(503, "the spool cannot be written to", {hdrs.RETRY_AFTER: _RETRY_AFTER}) from None

    def _check_head(self, request: web.BaseRequest) -> str:
        """Content-Encoding of the body; refuses the request if its head is not acceptable."""
        settings = self._settings
        # The token first: without it a client learns nothing, not even which path exists.
        if settings.token and not _knows(settings.token, request.headers.get(hdrs.AUTHORIZATION, "")):
            raise _RefusedError(401, "send the token", {hdrs.WWW_AUTHENTICATE: 'Basic realm="dovebeam collect"'})
        if request.path != settings.location:
            raise _RefusedError(404, "nothing is collected at this path")
        if request.method != hdrs.METH_POST:
            raise _RefusedError(405, "send events with POST", {hdrs.ALLOW: hdrs.METH_POST})
        encoding = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).strip().lower()
        if encoding not in ENCODINGS:
            raise _RefusedError(
                415, "send it as it is, or compressed with gzip", {hdrs.ACCEPT_ENCODING: "gzip, deflate"}
            )
        # Without either, HTTP says that there is no body (RFC 9112), and 204 would confirm an event that was not read.
        if request.content_length is None and hdrs.TRANSFER_ENCODING not in request.headers:
            raise _RefusedError(411, "send the length of the body as Content-Length")
        if (request.content_length or 0) > settings.max_body_bytes:
            raise _RefusedError(413, f"at most {settings.max_body_bytes} bytes")
        return encoding

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The body as it was sent."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                async for part in request.content.iter_any():
                    body += part
                    if len(body) > self._settings.max_body_bytes:
                        raise _RefusedError(413, f"at most {self._settings.max_body_bytes} bytes")
        except TimeoutError:
            raise _RefusedError(408, "the body did not arrive in time") from None
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
            raise _RefusedError(400, "the body is incomplete or malformed") from None
        return bytes(body)

    async def _lines(self, body: bytes, encoding: str) -> bytes:
        """Lines of the body, each with its line feed, without empty ones."""
        limit = self._settings.max_body_bytes
        if encoding not in {"", "identity"}:
            loop = asyncio.get_running_loop()
            try:
                # One byte more than allowed tells a body that is too large from one that just fits.
                body = await loop.run_in_executor(self._unpacking, unpacked, body, encoding, limit + 1)
            except BrokenBodyError as error:
                raise _RefusedError(400, str(error)) from None
            if len(body) > limit:
                raise _RefusedError(413, f"at most {limit} bytes, also when it is decompressed")
        return b"".join(line + b"\n" for line in body.split(b"\n") if line)


class _RefusedError(Exception):
    """A refusal of a request, with its status and text."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers


def _knows(token: bytes, header: str) -> bool:
    """Whether an Authorization header has the token, as Dovecot (Basic) or other clients (Bearer) send it."""
    scheme, _, value = header.partition(" ")
    given = value.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    # In constant time, so that the time of an answer tells nothing about the token.
    return hmac.compare_digest(given, token)
