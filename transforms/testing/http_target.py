"""An HTTP endpoint on loopback that keeps what is posted to it, and answers as a test tells it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Answer", "HttpRequest", "HttpTarget"]

_MAX_BODY_BYTES: Final = 64 << 20
_IDLE_SECS: Final = 30
_POLL_SECS: Final = 0.05  # how long an end may take


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came.

    Attributes:
        method: POST, say.
        path: with the query.
        headers: names in lower case.
        body: compressed if the client did so.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def lines(self) -> list[bytes]:
        """The lines of the body, which are the payloads of a batch of lines."""
        return self.body.split(b"\n")[:-1] if self.body.endswith(b"\n") else [self.body]

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer.

    Attributes:
        status: from 200 on.
        headers: further ones, such as Retry-After.
        body: its length is sent, too.
        delay_msec: how long to wait before.
        hang_up: close the connection instead of answering.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_msec: int = 0
    hang_up: bool = False


Script = Sequence[int | Answer] | Callable[[HttpRequest], int | Answer]


class HttpTarget:
    """A server on 127.0.0.1 for the time of a `with` block.

    For example::

        with HttpTarget([503, 200]) as target:
            ...  # the first request fails, all others succeed
        assert target.requests[1].json() == {"event": "a"}

    Args:
        answers: statuses or answers, one a request, the last one for all that follow; or what gives the answer to a
            request, called by several threads.
    """

    def __init__(self, answers: Script = (200,)) -> None:
        if not callable(answers) and not answers:
            raise ValueError("an HttpTarget needs at least one answer")
        self._answers = answers
        self._lock = threading.Lock()
        self._requests: list[HttpRequest] = []
        self._port = 0
        self._end = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Where it listens, as http, 127.0.0.1 and a port, without a path.

        Raises:
            RuntimeError: the `with` block has not begun.
        """
        if not self._port:
            raise RuntimeError("an HttpTarget listens within its block: with HttpTarget() as target")
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[HttpRequest]:
        """What came so far, in order; still there after the block."""
        with self._lock:
            return list(self._requests)

    def __enter__(self) -> Self:
        server = self._end.enter_context(_Server(self._answer))
        self._port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECS,), daemon=True, name=self.url)
        thread.start()
        self._end.callback(thread.join)
        self._end.callback(server.shutdown)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._end.close()

    def _answer(self, request: HttpRequest) -> Answer:
        with self._lock:
            number = len(self._requests)
            self._requests.append(request)
        answers = self._answers
        answer = answers(request) if callable(answers) else answers[min(number, len(answers) - 1)]
        return Answer(answer) if isinstance(answer, int) else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[HttpRequest], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECS

    def do_POST(self) -> None:
        self._handle()

    do_GET = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.send_error(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(HttpRequest(self.command, self.path, headers, self.rfile.read(int(length))))
        if answer.delay_msec:
            time.sleep(answer.delay_msec / 1000)
        if answer.hang_up:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
