"""A complete final head of an answer decides about its request, whatever becomes of the body."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dovebeam.transforms.drivers import Failure, HttpPostDriver
from support.servers.server_http import Answer, HttpServer, Request, run_http_server

_SHORT: dict[str, Any] = {
    "http_client_request_absolute_timeout_msec": 700,
    "http_client_connect_backoff_time_msec": 1,
    "http_client_request_max_attempts": 3,
}


def _send(
    payloads: list[bytes], answer: Callable[[int, Request], Answer], **settings: Any
) -> tuple[list[Failure], HttpServer]:
    with (
        run_http_server(answer) as server,
        HttpPostDriver(server.url, **{**_SHORT, **settings}).open() as connection,
    ):
        return connection.send(payloads), server


_BODIES: dict[str, tuple[bytes, bytes, dict[str, bool]]] = {
    "silence": (b"Content-Length: 10", b"", {}),
    "silence without a length": (b"X: y", b"", {}),
    "silence after a part": (b"Content-Length: 10", b"half", {}),
    "silent chunks": (b"Transfer-Encoding: chunked", b"", {}),
    "silence in a chunk": (b"Transfer-Encoding: chunked", b"5\r\nhal", {}),
    "closed": (b"Content-Length: 10", b"", {"close": True}),
    "reset": (b"Content-Length: 10", b"", {"reset": True}),
    "closed in a chunk": (b"Transfer-Encoding: chunked", b"5\r\nhal", {"close": True}),
    "wrong chunk": (b"Transfer-Encoding: chunked", b"zz\r\n", {}),
    "wrong gzip": (b"Content-Encoding: gzip\r\nContent-Length: 4", b"junk", {}),
    "unknown coding": (b"Content-Encoding: x\r\nTransfer-Encoding: x, chunked", b"", {}),
}


_BEGINS: list[tuple[bytes, list[tuple[int, int]]]] = [
    (b"HTTP/1.1 200 OK", []),
    (b"HTTP/1.1 204 No Content", []),
    (b"HTTP/1.0 201 Created", []),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", []),
    (b"HTTP/1.1 404 Not Found", [(404, 1)]),
    (b"HTTP/1.1 503 Busy", [(503, 3)]),
]


@pytest.mark.parametrize(
    ("begin", "outcome", "body"),
    [
        *((*_BEGINS[0], body) for body in _BODIES),
        *((*begin, body) for begin in _BEGINS[1:] for body in ("silence", "reset", "unknown coding")),
    ],
)
def test_head_decides(begin: bytes, outcome: list[tuple[int, int]], body: str) -> None:
    """Success is delivered once; any other status does what it always does."""
    header, data, end = _BODIES[body]
    answer = Answer(begin + b"\r\n" + header + b"\r\n\r\n" + data, **end)  # type: ignore[arg-type]
    failures, server = _send([b"x"], lambda *_: answer)
    assert [(failure.status, failure.attempts) for failure in failures] == outcome
    assert len(server.requests) == (outcome[0][1] if outcome else 1)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nX",
    ],
    ids=["interim", "cut after an interim head", "cut"],
)
def test_no_final_head_is_no_answer(data: bytes) -> None:
    """An interim head is not the answer, nor is a head without its end; the time limit ends the attempt."""
    failures, server = _send([b"x"], lambda *_: Answer(data))
    (failure,) = failures
    assert failure.reason.startswith("timed out: ")
    assert (failure.status, failure.attempts, len(server.requests)) == (None, 3, 3)


def test_heads_of_earlier_requests_decide_nothing() -> None:
    """A connection that was answered well before may still get no answer."""

    def answer(_: int, request: Request) -> Answer:
        return Answer() if request.body == b"good" else Answer(b"")

    failures, _ = _send([b"good", b"bad", b"good"], answer, http_client_request_max_attempts=1)
    assert [(failure.index, failure.status) for failure in failures] == [(1, None)]


def test_retry_after_of_a_head_without_its_body_is_kept() -> None:
    """The head is whole, so what it says of the next attempt holds."""
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\n"
    failures, server = _send([b"x"], lambda number, _: Answer(head) if number == 1 else Answer())
    assert failures == []
    assert server.requests[1].at - server.requests[0].at >= 1


@pytest.mark.parametrize("parallel", [1, 20])
def test_many_events_to_a_target_that_ends_no_body(parallel: int) -> None:
    """Each of them is sent once and delivered."""
    payloads = [b"%d" % number for number in range(parallel)]
    head = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    failures, server = _send(payloads, lambda *_: head, http_client_max_parallel_connections=parallel)
    assert failures == []
    assert sorted(server.bodies) == sorted(payloads)


def test_what_a_proxy_says_is_no_answer_of_the_target() -> None:
    """A tunnel that was opened, and then nothing: the target did not answer."""
    with run_http_server(lambda *_: Answer(b"HTTP/1.1 200 Connection established\r\n\r\n")) as proxy:
        settings = _SHORT | {"http_client_request_max_attempts": 1}
        driver = HttpPostDriver("https://in.test/", http_client_proxy_url=proxy.url, **settings)
        with driver.open() as connection:
            (failure,) = connection.send([b"x"])
    assert failure.status is None


def test_body_is_not_waited_for_as_long_as_for_the_head() -> None:
    """With a long time limit a body that does not come costs seconds; the next request gets a new connection."""
    head = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    begin = time.monotonic()
    failures, server = _send([b"1", b"2"], lambda *_: head, http_client_request_absolute_timeout_msec=600_000)
    assert time.monotonic() - begin < 120
    assert (failures, server.bodies, server.connections) == ([], [b"1", b"2"], 2)


def test_slow_body_keeps_its_connection() -> None:
    """A body that comes a little later than its head is read to its end."""

    def answer(_: int, _request: Request) -> Answer:
        return Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", then=(0.3, b"ok"))

    failures, server = _send([b"1", b"2"], answer, http_client_request_absolute_timeout_msec=600_000)
    assert (failures, server.bodies, server.connections) == ([], [b"1", b"2"], 1)
