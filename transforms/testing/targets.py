"""Targets for tests: a driver that keeps its payloads, and an HTTP server on loopback with scripted answers."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Answer", "HttpRequest", "HttpTarget", "KeepingDriver"]


_KEPT: Final[dict[str, list[bytes]]] = {}
"""Payloads in memory by the drivers' keys; a driver that was pickled within this process finds its list here."""


@dataclass(frozen=True)
class KeepingDriver(Driver):
    """Driver that keeps its payloads for the test.

    Use it as `ExportEvents(config, drivers={"NAME": driver})` or `WriteToExporter(driver)`.

    Attributes:
        path: a file to keep the payloads in, for workers in processes of their own. Empty keeps them in memory, for
            runners that work in the process of the test.
        refuses: a payload that contains one of these is refused and becomes a reject.
        status: the HTTP status of these rejects; None for rejects without a status.
        trouble: if not empty, the driver delivers nothing: each bundle fails with this text.

    Parallelism: any number of connections on any number of workers.

    Delivery: as often as the runner delivers; the payloads of a retried bundle are kept again.
    """

    path: str = ""
    refuses: tuple[bytes, ...] = field(default=(), repr=False)
    status: int | None = None
    trouble: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)

    # Configurations know drivers by name; this one stands in for any, and needs no settings.
    name: ClassVar[str] = "drop"

    def __post_init__(self) -> None:
        if not self.path:
            _KEPT.setdefault(self.key, [])

    @property
    def kept(self) -> list[bytes]:
        """The payloads in the order in which they arrived."""
        if not self.path:
            return list(_KEPT[self.key])
        lines = Path(self.path).read_bytes().splitlines() if Path(self.path).exists() else []
        return [base64.b64decode(line) for line in lines]

    @property
    def endpoint(self) -> str:
        """The file, or `memory`."""
        return self.path or "memory"

    def open(self) -> Connection:
        """A connection that keeps its payloads.

        Raises:
            DeliveryError: the payloads are kept in the memory of another process.
        """
        if not self.path and self.key not in _KEPT:
            raise DeliveryError("this worker is another process than the test; write KeepingDriver(path=...)", "memory")
        return _KeepingConnection(self)


class _KeepingConnection(Connection):
    def __init__(self, driver: KeepingDriver) -> None:
        super().__init__()
        self._driver = driver

    def deliver(self, batch: Batch) -> list[Failure]:
        driver = self._driver
        if driver.trouble:
            raise DeliveryError(driver.trouble, driver.endpoint)
        refused = [n for n, payload in enumerate(batch.payloads) if any(part in payload for part in driver.refuses)]
        self._keep([payload for n, payload in enumerate(batch.payloads) if n not in set(refused)])
        return [Failure(n, "refused by the test", status=driver.status, endpoint=driver.endpoint) for n in refused]

    def _keep(self, payloads: list[bytes]) -> None:
        if not self._driver.path:
            _KEPT[self._driver.key].extend(payloads)
            return
        # In base64, since payloads may have line feeds.
        lines = b"".join(base64.b64encode(payload) + b"\n" for payload in payloads)
        fd = os.open(self._driver.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "ab") as file:
            # Workers in other processes append to the same file, each whole batches.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(lines)


# The HTTP server.

_MAX_BODY_BYTES: Final = 64 << 20
_IDLE_SECS: Final = 30
# How long stopping the server may take.
_POLL_SECS: Final = 0.05


@dataclass(frozen=True)
class HttpRequest:
    """Request that the server received.

    Attributes:
        method: the HTTP method, such as POST.
        path: the path of the URL, with the query.
        headers: values by their names in lower case.
        body: as it was received; compressed if the client compressed it.
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
            ValueError: it is not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """Answer of the server to a request.

    Attributes:
        status: an HTTP status from 200 on.
        headers: additional headers, such as Retry-After.
        body: the body; the server adds its Content-Length.
        delay_msec: time to wait before the answer, in milliseconds.
        hang_up: whether to close the connection instead of answering.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_msec: int = 0
    hang_up: bool = False


Script = Sequence[int | Answer] | Callable[[HttpRequest], int | Answer]


class HttpTarget:
    """HTTP server on 127.0.0.1 that runs in a `with` block.

    For example::

        with HttpTarget([503, 200]) as target:
            ...  # the first request fails, all others succeed
        assert target.requests[1].json() == {"event": "a"}

    Args:
        answers: statuses or answers, one for each request; the last one is also for all further requests. Or a function
            from request to answer, which several threads call.
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
        """Base URL of the server on loopback, with its port and without a path.

        Raises:
            RuntimeError: the server has not been started by a `with` block.
        """
        if not self._port:
            raise RuntimeError("an HttpTarget listens within its block: with HttpTarget() as target")
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[HttpRequest]:
        """Requests so far, in order; they remain available after the block."""
        with self._lock:
            return list(self._requests)

    def __enter__(self) -> Self:
        # Port 0: the system chooses a free one, so that tests can run side by side.
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
    # A client that keeps its connection open must not hold up the end of a test.
    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[HttpRequest], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    # With kept connections, as real targets have them.
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECS

    def do_POST(self) -> None:
        self._handle()

    do_GET = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Logs nothing, which would be mixed with the output of tests."""

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
