"""Delivery over HTTP when things go wrong: answers, time limits, retries, redirects, broken servers."""

from __future__ import annotations

import email.utils
import itertools
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dovebeam.transforms.drivers import Failure, HttpPostDriver
from support.driver_contract import SECRET
from support.programs import HANG_SECS, free_port
from support.servers.server_http import NO_CONTENT, Answer, Request, run_http_server, status

_AMPLE: dict[str, Any] = {"http_client_request_absolute_timeout_msec": 10_000}
_QUICK_RETRIES: dict[str, Any] = {**_AMPLE, "http_client_connect_backoff_time_msec": 1}


def _send(batch: list[bytes], answer: Callable[[int, Request], Answer], **settings: Any) -> tuple[list[Failure], Any]:
    """Sends a batch to a server that answers so; returns the failures and the server, which has ended."""
    with (
        run_http_server(answer) as server,
        HttpPostDriver(server.url + "/in", **{**_QUICK_RETRIES, **settings}).open() as connection,
    ):
        return connection.send(batch), server


def _in_turn(*answers: Answer) -> Callable[[int, Request], Answer]:
    """One answer after the other, the last one for ever."""
    return lambda number, _request: answers[min(number, len(answers)) - 1]


@pytest.mark.parametrize("code", [200, 201, 202, 204, 226, 299])
def test_every_2xx_is_success(code: int) -> None:
    """Any status from 200 to 299, with or without a body."""
    for body in (b"", b'{"errors": true}'):
        failures, server = _send([b"a", b"b"], _in_turn(status(code, body=b"" if code == 204 else body)))
        assert failures == []
        assert (server.bodies, server.connections) == ([b"a", b"b"], 1)


@pytest.mark.parametrize(("code", "phrase"), [(304, "Not Modified"), (400, "Bad Request"), (404, "Not Found")])
def test_refused_payload_is_a_failure(code: int, phrase: str) -> None:
    """Only the refused payload fails, with status, place and number of attempts; the connection goes on."""
    body = b"" if code == 304 else SECRET.encode()
    answers = _in_turn(status(204), status(code, body=body), status(204))
    failures, server = _send([b"a", b"b", b"c"], answers, http_client_request_max_attempts=3)
    (failure,) = failures
    assert (failure.index, failure.attempts, failure.status, failure.endpoint) == (1, 1, code, server.url)
    assert failure.reason == f"the target answered {code} {phrase}"
    assert server.connections == 1


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_no_retry_by_default(code: int) -> None:
    """One attempt is Dovecot's default."""
    failures, server = _send([b"a"], _in_turn(status(code)))
    assert [(f.attempts, f.status) for f in failures] == [(1, code)]
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_retried_until_it_succeeds(code: int) -> None:
    """With more attempts a passing trouble costs nothing but time."""
    failures, server = _send([b"a", b"b"], _in_turn(status(code), status(code), status(204)), **_attempts(3))
    assert failures == []
    assert server.bodies == [b"a", b"a", b"a", b"b"]


def _attempts(count: int) -> dict[str, int]:
    return {"http_client_request_max_attempts": count}


def test_retries_are_limited_and_counted() -> None:
    """The number of attempts is the limit and is reported."""
    failures, server = _send([b"a"], _in_turn(status(500)), **_attempts(4))
    assert [(f.index, f.attempts, f.status) for f in failures] == [(0, 4, 500)]
    assert len(server.requests) == 4


def test_order_is_kept_over_retries_with_one_connection() -> None:
    """With one connection a retry holds back what follows, so each payload's success comes in order."""
    seen: dict[bytes, int] = {}

    def answer(_number: int, request: Request) -> Answer:
        seen[request.body] = seen.get(request.body, 0) + 1
        return status(204 if seen[request.body] > 1 else 503)

    batch = [b"%d" % number for number in range(20)]
    failures, server = _send(batch, answer, **_attempts(2))
    assert failures == []
    assert server.bodies == [body for payload in batch for body in (payload, payload)]


def test_many_connections_retry_each_by_itself() -> None:
    """With several connections every payload arrives, and failures come in the batch's order."""
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def answer(_number: int, request: Request) -> Answer:
        with lock:
            seen[request.body] = seen.get(request.body, 0) + 1
        return status(400) if request.body.endswith(b"7") else status(204 if seen[request.body] > 1 else 500)

    batch = [b"%d" % number for number in range(100)]
    failures, server = _send(batch, answer, http_client_max_parallel_connections=8, **_attempts(2))
    assert [f.index for f in failures] == list(range(7, 100, 10))
    assert {f.attempts for f in failures} == {1}
    assert seen == {payload: 1 if payload.endswith(b"7") else 2 for payload in batch}
    assert 1 < server.connections <= 8


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept(form: str) -> None:
    """Retry-After counts in both forms, without needing a Date header."""

    def answer(number: int, _request: Request) -> Answer:
        after = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
        return status(503, f"Retry-After: {after}") if number == 1 else status(204)

    failures, server = _send([b"a"], answer, **_attempts(2))
    assert failures == []
    assert server.requests[1].at - server.requests[0].at >= 0.9


def test_retry_after_beyond_the_limit_is_a_failure() -> None:
    """A wait longer than http_client_max_auto_retry_delay is not begun."""
    begin = time.monotonic()
    failures, server = _send(
        [b"a"],
        _in_turn(status(429, "Retry-After: 30"), status(204)),
        http_client_max_auto_retry_delay_msec=5000,
        **_attempts(3),
    )
    assert [(f.attempts, f.status) for f in failures] == [(1, 429)]
    assert len(server.requests) == 1
    assert time.monotonic() - begin < 25


@pytest.mark.parametrize("trickle", [b"", b"x"])
def test_absolute_timeout_really_ends_an_attempt(trickle: bytes) -> None:
    """A server that never answers, or never ends its head, costs the set time and no more."""
    answer = Answer(b"HTTP/1.1 200 OK\r\nX: " if trickle else b"", delay=60, endless=b"")
    begin = time.monotonic()
    with (
        run_http_server(_in_turn(answer)) as server,
        HttpPostDriver(server.url, http_client_request_absolute_timeout_msec=200).open() as connection,
    ):
        failures = connection.send([b"a", b"b"])
        assert 0.4 <= time.monotonic() - begin < 50
    assert [f.index for f in failures] == [0, 1]
    assert all(f.reason.startswith("timed out: ") and f.status is None for f in failures)


def test_default_limit_is_250_ms() -> None:
    """Dovecot's documented default."""
    with (
        run_http_server(_in_turn(Answer(delay=60))) as server,
        HttpPostDriver(server.url).open() as connection,
    ):
        begin = time.monotonic()
        assert len(connection.send([b"a"])) == 1
        assert 0.24 <= time.monotonic() - begin < 50


def test_time_in_the_queue_does_not_count() -> None:
    """The limit is one attempt's: a long batch over a slow target all arrives."""
    failures, server = _send(
        [b"%d" % n for n in range(8)],
        _in_turn(Answer(delay=0.3)),
        http_client_request_absolute_timeout_msec=2000,
    )
    assert failures == []
    assert len(server.requests) == 8


def test_timed_out_attempt_is_retried() -> None:
    """A new attempt has the whole limit again, on a new connection."""
    failures, server = _send(
        [b"a", b"b"],
        _in_turn(Answer(delay=60), Answer()),
        http_client_request_absolute_timeout_msec=1000,
        **_attempts(2),
    )
    assert failures == []
    assert server.bodies == [b"a", b"a", b"b"]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (Answer(b"", close=True), "connection lost"),
        (Answer(b"", reset=True), "connection lost"),
        (Answer(b"HTTP/1.1 200 O", close=True), ""),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Le", reset=True), ""),
        (Answer(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close=True), "bad response"),
        (Answer(b"\0" * 100, close=True), ""),
        (Answer(b"HTTP/1.1 2xx Fine\r\n\r\n", close=True), ""),
        (Answer(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000, close=True), ""),
    ],
    ids=["closed", "reset", "half line", "half head", "other protocol", "zeros", "no number", "endless head"],
)
def test_broken_answer_is_a_failure(answer: Answer, name: str) -> None:
    """What is no whole head of an HTTP answer is never success, and the next payload gets a fresh connection."""
    failures, server = _send([b"a", b"b"], lambda _n, request: answer if request.body == b"a" else Answer())
    assert [f.index for f in failures] == [0]
    assert failures[0].reason.startswith(name)
    assert server.bodies[-1] == b"b"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", close=True),
        Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", reset=True),
        Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", close=True),
        Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", endless=b"x" * 65536),
        Answer(b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65536),
        Answer(b"HTTP/1.1 200 OK\r\n\r\nslow"),
        Answer(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),  # libcurl takes a closed connection for the end of a head
    ],
    ids=["half body", "reset body", "half chunk", "huge length", "endless", "body never ends", "half head"],
)
def test_broken_body_of_a_success_is_success(answer: Answer) -> None:
    """The status decides and bodies are ignored, as in Dovecot; an endless one is cut off, not kept."""
    failures, _ = _send([b"a"], _in_turn(answer), http_client_request_absolute_timeout_msec=1000)
    assert failures == []


def test_endless_body_of_a_refusal_is_a_refusal() -> None:
    """The status of an answer that had to be cut off is still reported."""
    failures, _ = _send([b"a"], _in_turn(Answer(b"HTTP/1.1 404 No\r\n\r\n", endless=b"x" * 65536)))
    assert [(f.status, f.reason) for f in failures] == [(404, "the target answered 404 Not Found")]


def test_interim_answers_are_passed_over() -> None:
    """1xx answers come before the real one."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
    failures, _ = _send([b"a", b"b"], _in_turn(Answer(interim + NO_CONTENT), Answer(interim + status(500).data)))
    assert [(f.index, f.status) for f in failures] == [(1, 500)]


def test_closed_port_is_a_failure_of_every_payload() -> None:
    """Nothing listens: each payload fails after its attempts, and the reason names the place and what to do."""
    port = free_port()
    with HttpPostDriver(f"http://u:{SECRET}@127.0.0.1:{port}/{SECRET}").open() as connection:
        failures = connection.send([b"a", b"b"])
    assert [f.index for f in failures] == [0, 1]
    assert {f.endpoint for f in failures} == {f"http://127.0.0.1:{port}"}
    assert all(f.reason.startswith("connect failed: ") and "start the server" in f.reason for f in failures)
    assert SECRET not in str(failures)


def test_port_that_opens_later_is_reached() -> None:
    """With enough attempts a server that starts late gets everything."""
    port = free_port()
    driver = HttpPostDriver(
        f"http://127.0.0.1:{port}", **{**_AMPLE, **_attempts(30), "http_client_connect_backoff_max_time_msec": 100}
    )
    with driver.open() as connection:
        failures: list[Failure] = []
        sender = threading.Thread(target=lambda: failures.extend(connection.send([b"a", b"b"])))
        sender.start()
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port)) as listener:
            peer, _ = listener.accept()
            with peer:
                for body in (b"a", b"b"):
                    received = b""
                    while not received.endswith(b"\r\n\r\n" + body):
                        received += peer.recv(65536)
                    peer.sendall(NO_CONTENT)
            sender.join(HANG_SECS)
    assert failures == []


def test_unknown_host_is_a_failure() -> None:
    """A name that doesn't exist, or cannot be looked up in time."""
    with HttpPostDriver("http://nonexistent.invalid/", **_AMPLE).open() as connection:
        (failure,) = connection.send([b"a"])
    assert failure.endpoint == "http://nonexistent.invalid:80"
    assert failure.reason.startswith(("host name lookup failed", "timed out"))


def test_server_that_closes_idle_connections_loses_nothing() -> None:
    """A kept-alive connection that the server closed between two batches is replaced without a failure."""
    with run_http_server(_in_turn(Answer(close=True))) as server, HttpPostDriver(server.url, **_AMPLE).open() as c:
        for number in range(5):
            assert c.send([b"%d" % number]) == []
            time.sleep(0.02)
        assert server.connections == 5


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_refused_by_default(code: int) -> None:
    """A redirect is a failure that says which setting would follow it."""
    failures, server = _send([b"a"], _in_turn(status(code, "Location: /other")))
    assert [(f.status, len(server.requests)) for f in failures] == [(code, 1)]
    assert "redirects are refused" in failures[0].reason
    assert "http_client_request_max_redirects" in failures[0].reason


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_within_the_place_are_followed(code: int) -> None:
    """The same request again, but GET without a body after 303; the next payload goes to the old URL."""

    def answer(_number: int, request: Request) -> Answer:
        return status(204) if " /other" in request.lines[0] else status(code, "Location: /other?x=1")

    failures, server = _send([b"a", b"b"], answer, http_client_request_max_redirects=1)
    assert failures == []
    method, body = ("GET", b"") if code == 303 else ("POST", b"a")
    assert [request.lines[0] for request in server.requests[:3]] == [
        *("POST /in HTTP/1.1", f"{method} /other?x=1 HTTP/1.1", "POST /in HTTP/1.1")
    ]
    assert server.bodies == [b"a", body, b"b", b"" if code == 303 else b"b"]


def test_redirects_are_counted() -> None:
    """A loop ends at the limit."""
    failures, server = _send([b"a"], _in_turn(status(307, "Location: /in")), http_client_request_max_redirects=3)
    assert len(server.requests) == 4
    assert "more than 3 redirects" in failures[0].reason


@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/", "http://127.0.0.1:{other}/", "https://other.example/"]
)
def test_redirect_to_another_place_is_refused(location: str) -> None:
    """Neither payload nor credentials go to another host or port, whatever the limit."""
    with run_http_server() as other:

        def answer(_number: int, request: Request) -> Answer:
            port = request.headers["host"].rpartition(":")[2]
            return status(307, "Location: " + location.format(port=port, other=other.port))

        failures, server = _send([b"a"], answer, http_client_request_max_redirects=5)
        assert [(f.status, len(server.requests)) for f in failures] == [(307, 1)]
        assert "another place" in failures[0].reason
        assert other.requests == []


def test_redirects_do_not_stretch_the_time_limit() -> None:
    """All hops together have one attempt's time."""
    begin = time.monotonic()
    failures, _ = _send(
        [b"a"],
        lambda _n, _r: Answer(status(307, "Location: /in").data, delay=0.1),
        http_client_request_max_redirects=1000,
        http_client_request_absolute_timeout_msec=350,
    )
    assert time.monotonic() - begin < 50
    assert failures[0].reason.startswith("timed out")


def test_interrupt_leaves_a_usable_connection() -> None:
    """Whatever breaks out of send in the middle, nothing stays on its way and the next batch works."""
    with (
        run_http_server() as server,
        HttpPostDriver(server.url, **_AMPLE, http_client_max_parallel_connections=4).open() as connection,
    ):
        batch: list[Any] = [b"a"] * 10 + [object()]
        with pytest.raises(TypeError):
            connection.send(batch)
        assert connection.send([b"z"]) == []
        assert server.bodies.count(b"z") == 1


def test_many_batches_reuse_their_connections() -> None:
    """Handles and connections are made once."""
    with (
        run_http_server() as server,
        HttpPostDriver(server.url, **_AMPLE, http_client_max_parallel_connections=3).open() as connection,
    ):
        for _, batch in zip(range(20), itertools.repeat([b"x"] * 10), strict=False):
            assert connection.send(batch) == []
        assert server.connections <= 3
        assert len(server.requests) == 200
