"""An HTTP server that answers whatever a test wants, byte for byte, and keeps the exact bytes of every request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.programs import HANG_SECS
from support.servers.certificates import common_name

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """One request as it came; by TLS with the name in the client's certificate, if it has one."""

    head: bytes
    body: bytes
    connection: int
    at: float
    client: str = ""

    @property
    def lines(self) -> list[str]:
        """The request line and the header lines."""
        return self.head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case."""
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in self.lines[1:])}


@dataclass(frozen=True)
class Answer:
    """What to do with a request: wait, send `data`, and `then` more later, close or reset the connection if told so."""

    data: bytes = NO_CONTENT
    delay: float = 0.0
    close: bool = False
    reset: bool = False
    endless: bytes = b""
    then: tuple[float, bytes] = (0.0, b"")


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    """A complete answer with a status."""
    lines = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return Answer("\r\n".join(lines).encode("latin-1") + body)


@dataclass
class HttpServer:
    """A server on loopback, one thread a connection.

    Attributes:
        answer: gets the number of the request, from 1, and the request.
        port: where it listens.
        tls: the context of new connections, which may be replaced at any time; None for none.
        requests: all that came.
        connections: how many were accepted.
    """

    answer: Callable[[int, Request], Answer]
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=600)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its root, without the last slash."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[bytes]:
        """The bodies in the order in which they came."""
        return [request.body for request in self.requests]

    def close(self) -> None:
        """Stops listening; connections end by themselves."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(HANG_SECS)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer, self.connections), daemon=True).start()

    def _serve(self, peer: socket.socket, number: int) -> None:
        peer.settimeout(HANG_SECS)
        if self.tls is not None:
            try:
                peer = self.tls.wrap_socket(peer, server_side=True)
            except OSError:
                peer.close()
                return
        client = common_name(peer)
        with peer, contextlib.suppress(OSError), peer.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline(65536)
                    if not line:
                        return
                    head += line
                length = next((int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
                request = Request(head, stream.read(length), number, time.monotonic(), client)
                with self._lock:
                    self.requests.append(request)
                    count = len(self.requests)
                if not self._reply(peer, self.answer(count, request)):
                    return

    def _reply(self, peer: socket.socket, answer: Answer) -> bool:
        if answer.delay:
            self._stop.wait(answer.delay)
        peer.sendall(answer.data)
        if answer.then[1]:
            self._stop.wait(answer.then[0])
            peer.sendall(answer.then[1])
        while answer.endless and not self._stop.is_set():
            peer.sendall(answer.endless)
        if answer.reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not (answer.close or answer.reset)


@contextlib.contextmanager
def run_http_server(
    answer: Callable[[int, Request], Answer] | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[HttpServer]:
    """A server for one test.

    Args:
        answer: gets the number of the request, from 1, and the request; without it every answer is 204.
        port: where to listen; 0 for any free one.
        tls: for https.
    """
    server = HttpServer(answer or (lambda _number, _request: Answer()), port, tls)
    try:
        yield server
    finally:
        server.close()
