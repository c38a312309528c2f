"""A proxy before the emulator of Google Cloud Storage that refuses the requests it is told to refuse."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from support.programs import HANG_SECS
from support.servers.gcs_emulator import GcsEmulator

_SKIPPED = {"host", "connection", "transfer-encoding", "content-length"}


_REFUSAL = b'{"error": {"code": 403, "message": "refused"}}'


def _parts(batch: bytes, status: int) -> bytes:
    """The answer to a batch, each request of which is refused."""
    count = batch.count(b"Content-Type: application/http")
    head = b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 %d Refused\r\n" % status
    part = head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_REFUSAL) + _REFUSAL + b"\r\n"
    return part * count + b"--b--\r\n"


@dataclass
class Faults:
    """What is refused, and what was.

    Attributes:
        refuses: decides by method and path.
        status: of the refusal; a batch is answered with success, and each request in it refused, as the store does it.
        refused: the requests that were refused.
    """

    refuses: Callable[[str, str], bool]
    status: int = 403
    refused: list[str] = field(default_factory=list)


@contextmanager
def gcs_faults(emulator: GcsEmulator, refuses: Callable[[str, str], bool], status: int = 403) -> Iterator[Faults]:
    """Sends this process's traffic to the store through a proxy, as long as the context lasts."""
    faults = Faults(refuses, status)
    behind = urlsplit(emulator.url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if faults.refuses(self.command, self.path):
                faults.refused.append(f"{self.command} {self.path}")
                if self.path.startswith("/batch/"):
                    self._answer(200, [("Content-Type", "multipart/mixed; boundary=b")], _parts(body, faults.status))
                else:
                    self._answer(faults.status, [], _REFUSAL)
                return
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port or 0, timeout=HANG_SECS)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _SKIPPED}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            # Uploads go on where the store says, which must be this proxy.
            passed = [(k, v.replace(emulator.url, url)) for k, v in answer.getheaders() if k.lower() not in _SKIPPED]
            connection.close()
            self._answer(answer.status, passed, content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _forward  # noqa: N815  the names of http.server

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = os.environ["STORAGE_EMULATOR_HOST"]
    os.environ["STORAGE_EMULATOR_HOST"] = url
    try:
        yield faults
    finally:
        os.environ["STORAGE_EMULATOR_HOST"] = before
        server.shutdown()
        server.server_close()
        thread.join(HANG_SECS)
