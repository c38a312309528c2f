"""Http clients that send too little, too much, too slowly or something else: nothing in part, and no place for nothing."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.pipelines.collect.http_connections import RequestBorders
from support.jobs.collector import Collector, run_collector
from support.programs import HANG_SECS, wait_until

LINES = b"".join(b'{"event":"x","fields":{"n":%d}}\n' % number for number in range(300))
GZIP = gzip.compress(LINES)
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
TOKEN = "secret"
AUTHORIZED = HEAD + b"Authorization: Bearer secret\r\n"
HONEST = AUTHORIZED + b"Content-Length: 4\r\n\r\nline"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One for all tests, who each look only at what they add."""
    options = ("--request_timeout=3s", "--max_connections=8", "--max_body_bytes=1M", "--token=env:TEST_TOKEN")
    with run_collector(tmp_path_factory.mktemp("http"), *options, env={"TEST_TOKEN": TOKEN}) as running:
        yield running


@contextlib.contextmanager
def connected(collector: Collector, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection from a given address."""
    with socket.create_connection(("127.0.0.1", collector.port), 60, (source, 0)) as peer:
        yield peer


def status_of(peer: socket.socket) -> int:
    """The status of the next answer, 0 if the connection ends without one."""
    response = http.client.HTTPResponse(peer)
    try:
        response.begin()
    except (ConnectionError, http.client.BadStatusLine):
        return 0
    response.read()
    return response.status


def encoded(body: bytes, *names: str, length: int | None = None) -> bytes:
    """A request with encodings, of which a server may believe a wrong length."""
    headers = b"".join(b"Content-Encoding: %s\r\n" % name.encode() for name in names)
    return AUTHORIZED + headers + b"Content-Length: %d\r\n\r\n%s" % (len(body) if length is None else length, body)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A request in chunks."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n" + framed + end


BOMB = gzip.compress(bytes(8 << 20)) * 100
RAW_DEFLATE = zlib.compress(LINES, wbits=-15)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (encoded(GZIP, "gzip"), 204),
        (encoded(GZIP, "X-GZip"), 204),
        (encoded(gzip.compress(LINES[:3200]) + gzip.compress(LINES[3200:]), "gzip"), 204),
        (encoded(zlib.compress(LINES), "deflate"), 204),
        (encoded(RAW_DEFLATE, "deflate"), 204),
        (encoded(LINES, "identity"), 204),
        (chunked(LINES[:100], LINES[100:]), 204),
        (encoded(GZIP[: len(GZIP) // 2], "gzip"), 400),
        (encoded(GZIP[:-1], "gzip"), 400),
        (encoded(GZIP + b"garbage", "gzip"), 400),
        (encoded(GZIP + GZIP[:20], "gzip"), 400),
        (encoded(GZIP[:-8] + bytes(8), "gzip"), 400),
        (encoded(LINES, "gzip"), 400),
        (encoded(b"", "gzip"), 400),
        (encoded(zlib.compress(LINES)[:-1], "deflate"), 400),
        (encoded(zlib.compress(LINES) + b"x", "deflate"), 400),
        (encoded(RAW_DEFLATE[:-1], "deflate"), 400),
        (encoded(gzip.compress(bytes(2 << 20)), "gzip"), 413),
        (encoded(BOMB, "gzip"), 413),
        (encoded(zlib.compress(bytes(2 << 20)), "deflate"), 413),
        (encoded(gzip.compress(b"") * 40_000, "gzip"), 204),
        (encoded(GZIP, "zstd"), 415),
        (encoded(GZIP, "br"), 415),
        (encoded(GZIP, "gzip, gzip"), 415),
        (encoded(GZIP, "identity", "gzip"), 415),
        (encoded(LINES, length=len(LINES) + 1), 408),
        (encoded(LINES, length=2 << 20), 413),
        (chunked(LINES[:100], end=b""), 408),
        (chunked(LINES[:100], end=b"zz\r\n"), 400),
        (AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n", 400),
        (AUTHORIZED + b"\r\n", 411),
        (AUTHORIZED.replace(b"1.1", b"1.0") + b"\r\n", 411),
        (AUTHORIZED + b"\r\n" + LINES[:30], 400),
        (AUTHORIZED + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nlines", 400),
        (AUTHORIZED + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nline", 400),
        (AUTHORIZED + b"X: y\r\n" * 100_000 + b"Content-Length: 4\r\n\r\nline", 400),
        (AUTHORIZED + b"X: " + b"y" * 100_000 + b"\r\nContent-Length: 4\r\n\r\nline", 400),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nline", 401),
        (HEAD + b"Content-Length: 1000000000\r\n\r\n", 401),
    ],
)
def test_all_or_nothing(request_: bytes, status: int, collector: Collector) -> None:
    """What is answered with 204 is in the spool as a whole, of everything else no byte; nothing is said about either."""
    before, said = collector.lines, collector.said
    with connected(collector) as peer:
        with contextlib.suppress(ConnectionError):  # refused before it was all sent
            peer.sendall(request_)
        assert status_of(peer) == status
    added = collector.lines[len(before) :]
    empty = b"gzip\r\nContent-Length: 800000" in request_
    assert added == (LINES.split(b"\n")[:-1] if status == 204 and not empty else [])
    assert collector.said == said


@pytest.mark.parametrize("request_", [encoded(LINES, length=len(LINES) + 1), chunked(LINES[:100], end=b"")])
def test_a_client_that_goes_away(request_: bytes, collector: Collector) -> None:
    """Half a body leaves neither a line nor a traceback."""
    before, said = collector.lines, collector.said
    with connected(collector) as peer:
        peer.sendall(request_)
        peer.shutdown(socket.SHUT_WR)
        assert status_of(peer) in {0, 400}
    assert (collector.lines, collector.said) == (before, said)


@pytest.mark.parametrize(("token", "expected"), [("wrong", b"HTTP/1.1 401 "), (TOKEN, b"HTTP/1.1 100 ")])
def test_who_asks_first_is_told_before_he_sends(token: str, expected: bytes, collector: Collector) -> None:
    """With Expect: 100-continue the body is asked for only from who may send it."""
    with connected(collector) as peer:
        head = f"Authorization: Bearer {token}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        peer.sendall(HEAD + head.encode())
        assert peer.recv(1000).startswith(expected)
        if token == TOKEN:
            peer.sendall(b"line")
            assert status_of(peer) == 204


def test_pipelined(collector: Collector) -> None:
    """Requests that come at once are answered one after the other, however they are cut."""
    before = len(collector.lines)
    requests = [encoded(b"%d" % number) if number % 3 else chunked(b"%d" % number) for number in range(60)]
    with connected(collector) as peer:
        data = b"".join(requests)
        for at in range(0, len(data), 777):
            peer.sendall(data[at : at + 777])
        with peer.makefile("rb") as answers:
            found: list[bytes] = []
            while len(found) < len(requests) and (line := answers.readline()):
                found += [line] if line.startswith(b"HTTP/") else []
    assert all(line.startswith(b"HTTP/1.1 204") for line in found)
    assert collector.lines[before:] == [b"%d" % number for number in range(60)]


def test_old_http(collector: Collector) -> None:
    """HTTP/1.0 gets its answer, and the connection is closed."""
    with connected(collector) as peer:
        peer.sendall(HONEST.replace(b"1.1", b"1.0"))
        assert status_of(peer) == 204
        assert peer.recv(1) == b""


def bombs(peers: list[socket.socket]) -> None:
    """Megabytes of zeros on each."""
    for peer in peers:
        peer.sendall(encoded(BOMB, "gzip"))


def halves(peers: list[socket.socket]) -> None:
    """Half a head after one good answer."""
    for peer in peers:
        peer.sendall(HONEST)
        assert status_of(peer) == 204
        peer.sendall(HEAD)


def silent(peers: list[socket.socket]) -> None:
    """Nothing at all."""


def first_halves(peers: list[socket.socket]) -> None:
    """Half of the first head."""
    for peer in peers:
        peer.sendall(HEAD)


def slow_bodies(peers: list[socket.socket]) -> None:
    """A body of which nothing comes."""
    for peer in peers:
        peer.sendall(encoded(b"", length=100))


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
@pytest.mark.parametrize("send", [silent, first_halves, halves, slow_bodies, bombs])
def test_others_are_served(send: object, source: str, collector: Collector) -> None:
    """An honest client is answered within seconds, while others have taken all places for nothing."""
    assert callable(send)
    with contextlib.ExitStack() as stack:
        send([stack.enter_context(connected(collector, source)) for _ in range(8)])
        with connected(collector) as honest:
            begin = time.monotonic()
            honest.sendall(HONEST)
            assert status_of(honest) == 204
            assert time.monotonic() - begin < 20


def test_who_keeps_a_place_too_long(collector: Collector) -> None:
    """Half a head is closed after the time for a request, also behind an answer; silence after an answer is not."""
    with connected(collector) as kept, connected(collector) as half, connected(collector) as piped:
        for peer, rest in ((kept, b""), (half, b""), (piped, HEAD)):
            peer.sendall(HONEST + rest)
            assert status_of(peer) == 204
        half.sendall(HEAD)
        assert half.recv(1) == b""
        assert piped.recv(1) == b""
        kept.sendall(HONEST)
        assert status_of(kept) == 204


def test_who_does_not_read(collector: Collector) -> None:
    """A client that only sends and takes no answer is closed."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", collector.port))
        peer.settimeout(0.5)
        data = HONEST.replace(b"Length: 4", b"Length: 0").removesuffix(b"line") * 1000

        def is_closed() -> bool:
            try:
                peer.sendall(data)
            except TimeoutError:
                return False
            except ConnectionError:
                return True
            return False

        wait_until(is_closed, "the connection to be closed")


def test_a_slow_handshake_takes_no_place(tmp_path: Path) -> None:
    """Who connects to https and says nothing makes way for others, too."""
    from support.servers.certificates import make_authority

    certificate, key = make_authority(tmp_path).issue("server", "IP:127.0.0.1")
    options = (f"--tls_cert={certificate}", f"--tls_key={key}", "--max_connections=2")
    with run_collector(tmp_path, *options, http="https") as collector, contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connected(collector))
        import ssl

        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        client = http.client.HTTPSConnection("127.0.0.1", collector.port, timeout=HANG_SECS, context=context)
        client.request("POST", "/", b"line", {"Authorization": base64.b64encode(b"").decode()})
        assert client.getresponse().status == 204
        client.close()


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_borders_of_requests(size: int) -> None:
    """However the bytes are cut, it is known whether a request has begun whose head is not complete."""
    borders = RequestBorders()
    for request_ in (b"\r\n" + HONEST, HONEST * 2, chunked(b"abc"), HONEST, chunked(b"abc") + HONEST):
        for at in range(0, len(request_), size):
            borders.feed(request_[at : at + size])
        borders.begun()
        borders.answered()
    borders.begun()  # the last one, which came together with chunks
    borders.answered()
    assert not borders.is_within_head
    borders.feed(HEAD)
    assert borders.is_within_head
