"""Dovecot's `http-post` driver as a peer: each request is a line, and 204 says that it is in the spool.

Dovecot forgets an event for whatever else it is answered, except 503 with `Retry-After` if it is told to make several
attempts. Who sends is known before anything of a body is read. What is compressed must be whole to its end, and is
never decompressed to more than a limit.
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
"""The values of Content-Encoding that can be undone."""

_STEP_BYTES: Final = 4096  # so that thousands of tiny gzip members cost no more than their bytes
_RETRY_AFTER: Final = str(int(10 * RETRY_SECS))


class BrokenBodyError(DovebeamError):
    """A body that is not whole, or not what its header says."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The content of a body; of more than `limit` bytes only the first ones, and some more. Not for an event loop.

    Args:
        body: as it was sent.
        encoding: one of `ENCODINGS`.
        limit: so many bytes are enough.

    Raises:
        BrokenBodyError: it is cut off, damaged, or something follows its end.
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
        if len(content) < limit:
            stream.read(1)  # raises what ended the content too early
    except DovebeamError as error:
        raise BrokenBodyError("the gzip data is damaged or cut off") from error
    return content


class _Steps(FileStream):
    """A stream of small pieces."""

    def __init__(self, body: bytes) -> None:
        super().__init__(io.BytesIO(body), "")

    def read(self, size: int, /) -> bytes:
        """Not more than a step at a time."""
        return super().read(min(size, _STEP_BYTES))


def _inflated(body: bytes, limit: int) -> bytes:
    """Of zlib's format, as the standard has it, or without its header, as some send it."""
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
    """What a listener accepts.

    Args:
        location: the one path.
        token: what to send as bearer token or as the password of basic authentication; empty for nothing.
        max_body_bytes: larger requests are refused.
        request_timeout: seconds for a body to be complete, and for the other things that `HttpConnection` waits for.
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
        self._unpacking = ThreadPoolExecutor(1, "unpack")  # one after the other, and never in the event loop

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return HttpConnection(self._server, slot, self._settings.request_timeout)

    async def stop(self, seconds: float) -> None:
        """Answers the requests that are being read, and closes all connections."""
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
            response.force_close()  # what was not read of the body is in the way
            return response
        return web.Response(status=204)

    async def _take(self, request: web.BaseRequest, slot: Slot) -> None:
        encoding = self._check_head(request)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        lines = await self._lines(await self._body(request), encoding)
        slot.prove()
        slot.busy()
        if lines:
            try:
                await self._writer.append(lines)
            except DeliveryError:
                raise _RefusedError(503, "the spool cannot be written to", {hdrs.RETRY_AFTER: _RETRY_AFTER}) from None

    def _check_head(self, request: web.BaseRequest) -> str:
        """The encoding of the body, if it is to be read."""
        settings = self._settings
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
            raise _RefusedError(408, "the body did not come") from None
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
            raise _RefusedError(400, "the body is broken") from None
        return bytes(body)

    async def _lines(self, body: bytes, encoding: str) -> bytes:
        """The lines of the body, each with its end, without empty ones."""
        limit = self._settings.max_body_bytes
        if encoding not in {"", "identity"}:
            loop = asyncio.get_running_loop()
            try:
                body = await loop.run_in_executor(self._unpacking, unpacked, body, encoding, limit + 1)
            except BrokenBodyError as error:
                raise _RefusedError(400, str(error)) from None
            if len(body) > limit:
                raise _RefusedError(413, f"at most {limit} bytes, also when it is decompressed")
        return b"".join(line + b"\n" for line in body.split(b"\n") if line)


class _RefusedError(Exception):
    """A request that is not taken."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.headers = headers


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
