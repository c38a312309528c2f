"""Several events in a request: framing, limits, compression, and what is done when such a body is refused."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from dovebeam.transforms.drivers import Batch, Failure, HttpPostDriver
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

_AMPLE: dict[str, Any] = {
    "http_client_request_absolute_timeout_msec": 10_000,
    "http_client_connect_backoff_time_msec": 1,
}


def _send(
    batch: list[bytes] | Batch, answer: Callable[[int, Request], Answer] | None = None, **settings: Any
) -> tuple[list[Failure], HttpServer]:
    """Sends a batch to a server that answers so."""
    with (
        run_http_server(answer) as server,
        HttpPostDriver(server.url + "/in", **{**_AMPLE, **settings}).open() as connection,
    ):
        return connection.send(batch), server


_EVENTS = [b'{"n":%d}' % number for number in range(5)]


@pytest.mark.parametrize(
    ("settings", "content_type", "bodies"),
    [
        ({}, "application/json", [b'{"n":0}', b'{"n":1}', b'{"n":2}']),
        ({"format": "tab-text"}, "text/plain", [b'{"n":0}', b'{"n":1}', b'{"n":2}']),
        (
            {"http_post_batch_max_events": 2},
            "application/x-ndjson",
            [b'{"n":0}\n{"n":1}\n', b'{"n":2}\n'],
        ),
        (
            {"http_post_batch_max_events": 2, "format": "tab-text"},
            "text/plain",
            [b'{"n":0}\n{"n":1}\n', b'{"n":2}\n'],
        ),
        (
            {"http_post_batch_max_events": 2, "http_post_batch_format": "array"},
            "application/json",
            [b'[{"n":0},{"n":1}]', b'[{"n":2}]'],
        ),
        ({"http_post_batch_format": "array"}, "application/json", [b'[{"n":0}]', b'[{"n":1}]', b'[{"n":2}]']),
        (
            {"http_post_batch_max_events": 9, "http_post_content_type": "application/vnd.mail+json; v=1"},
            "application/vnd.mail+json; v=1",
            [b'{"n":0}\n{"n":1}\n{"n":2}\n'],
        ),
        ({"http_post_content_type": "text/x-event"}, "text/x-event", [b'{"n":0}', b'{"n":1}', b'{"n":2}']),
    ],
)
def test_framing(settings: dict[str, Any], content_type: str, bodies: list[bytes]) -> None:
    """Lines or an array, with the Content-Type that goes with it; one event without framing is as Dovecot sends it."""
    failures, server = _send(_EVENTS[:3], **settings)
    assert failures == []
    assert server.bodies == bodies
    assert {request.headers["content-type"] for request in server.requests} == {content_type}
    assert not any("content-encoding" in request.headers for request in server.requests)


@pytest.mark.parametrize(
    ("compression", "unpack"),
    [("gzip", gzip.decompress), ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data))],
)
@pytest.mark.parametrize("events", [1, 100])
def test_compression(compression: str, unpack: Callable[[bytes], bytes], events: int) -> None:
    """The body says how it is compressed, unpacks to what would be sent without, and is the same every time."""
    payloads = [b'{"n":%d,"text":"%s"}' % (number, b"x" * 50) for number in range(100)]
    settings = {"http_post_batch_max_events": events, "http_post_compression": compression}
    (failures, server), (_, again) = _send(payloads, **settings), _send(payloads, **settings)
    assert failures == []
    assert {request.headers["content-encoding"] for request in server.requests} == {compression}
    assert b"".join(unpack(body) for body in server.bodies) == b"".join(
        payload + (b"\n" if events > 1 else b"") for payload in payloads
    )
    assert server.bodies == again.bodies
    if events > 1:
        assert len(server.bodies[0]) < sum(map(len, payloads)) / 4


@pytest.mark.parametrize(
    ("sizes", "most", "counts"),
    [
        ([10, 10, 10, 10], 33, [2, 2]),
        ([10, 10, 10, 10], 34, [3, 1]),
        ([10, 10, 10, 10], 1000, [4]),
        ([10, 10, 10, 10], 1, [1, 1, 1, 1]),
        ([5, 500, 5, 5], 20, [1, 1, 2]),
        ([0, 0, 0], 3, [2, 1]),
    ],
)
def test_bytes_of_a_body_are_limited(sizes: list[int], most: int, counts: list[int]) -> None:
    """A body with its framing stays within the limit; what is longer by itself is sent alone."""
    payloads = [b"x" * size for size in sizes]
    failures, server = _send(payloads, http_post_batch_max_events=100, http_post_batch_max_bytes=most)
    assert failures == []
    assert [body.count(b"\n") for body in server.bodies] == counts
    assert b"".join(server.bodies) == b"".join(payload + b"\n" for payload in payloads)


def _refuse_poison(code: int) -> Callable[[int, Request], Answer]:
    return lambda _number, request: status(code if b"poison" in request.body else 204)


@pytest.mark.parametrize("code", [400, 422])
@pytest.mark.parametrize("place", [0, 1, 250, 498, 499])
def test_one_poison_in_500(code: int, place: int) -> None:
    """Only the culprit is rejected, all others arrive once and in order, and at most 20 requests are made."""
    payloads = [b'{"n":%d}' % number for number in range(500)]
    payloads[place] = b'{"n":"poison"}'
    failures, server = _send(payloads, _refuse_poison(code), http_post_batch_max_events=500)
    assert [(f.index, f.status, f.attempts, f.endpoint) for f in failures] == [(place, code, 1, server.url)]
    assert failures[0].reason.startswith(f"the target answered {code} ")
    assert len(server.requests) <= 20
    taken = b"".join(body for body in server.bodies if b"poison" not in body)
    assert taken.splitlines() == payloads[:place] + payloads[place + 1 :]


def test_several_poisons_over_several_connections() -> None:
    """Each culprit of a batch is found, whoever sends what."""
    payloads = [b"poison %d" % n if n % 37 == 0 else b"fine %d" % n for n in range(300)]
    failures, server = _send(
        payloads, _refuse_poison(400), http_post_batch_max_events=50, http_client_max_parallel_connections=8
    )
    assert [f.index for f in failures] == list(range(0, 300, 37))
    lines = b"".join(body for body in server.bodies if b"poison" not in body).splitlines()
    assert sorted(lines) == sorted(p for p in payloads if not p.startswith(b"poison"))


def test_too_large_bodies_are_split() -> None:
    """413 halves a body until it fits, with array framing too; a single event that doesn't is rejected."""
    payloads = [json.dumps({"n": n, "pad": "x" * (3000 if n == 7 else 90)}).encode() for n in range(40)]
    failures, server = _send(
        payloads,
        lambda _number, request: status(413 if len(request.body) > 1000 else 204),
        http_post_batch_max_events=40,
        http_post_batch_format="array",
    )
    assert [(f.index, f.status) for f in failures] == [(7, 413)]
    taken = [event["n"] for body in server.bodies if len(body) <= 1000 for event in json.loads(body)]
    assert taken == [n for n in range(40) if n != 7]


@pytest.mark.parametrize("code", [401, 403, 404, 415, 501])
def test_refusal_of_everything_is_not_searched(code: int) -> None:
    """What has nothing to do with one event rejects the whole body with one request."""
    failures, server = _send(_EVENTS, lambda _n, _r: status(code), http_post_batch_max_events=5)
    assert [(f.index, f.status) for f in failures] == [(n, code) for n in range(5)]
    assert len({f.reason for f in failures}) == 1
    assert len(server.requests) == 1


def test_status_lists_of_the_settings() -> None:
    """Success, retry and reject mean what the settings say."""
    answers = {b"a": [status(409)], b"b": [status(418), status(200)], b"c": [status(400)], b"d": [status(302)]}
    seen: dict[bytes, int] = {}

    def answer(_number: int, request: Request) -> Answer:
        seen[request.body] = seen.get(request.body, -1) + 1
        return answers[request.body][seen[request.body]]

    failures, _ = _send(
        [b"a", b"b", b"c", b"d"],
        answer,
        http_post_success_statuses="200-299 302 409",
        http_post_retry_statuses="418",
        http_client_request_max_attempts=2,
    )
    assert [(f.index, f.status) for f in failures] == [(2, 400)]
    assert seen == {b"a": 0, b"b": 1, b"c": 0, b"d": 0}
    failures, server = _send(
        _EVENTS, lambda _n, _r: status(400), http_post_batch_max_events=5, http_post_reject_statuses="400"
    )
    assert (len(failures), len(server.requests)) == (5, 1)


def test_retried_batch_is_the_same_body() -> None:
    """A batch that failed as a whole is sent again as it was, and every event counts its attempts."""
    answers = itertools.chain([status(500), status(500)], itertools.repeat(status(404)))
    failures, server = _send(
        _EVENTS, lambda _n, _r: next(answers), http_post_batch_max_events=5, http_client_request_max_attempts=5
    )
    assert [(f.index, f.attempts, f.status) for f in failures] == [(n, 3, 404) for n in range(5)]
    assert len(set(server.bodies)) == 1


_KEYS = [f"key-{number}" for number in range(5)]


def _joined(*keys: str) -> str:
    return hashlib.sha256("\0".join(keys).encode()).hexdigest()


@pytest.mark.parametrize(
    ("events", "keys"),
    [
        (1, _KEYS),
        (2, [_joined("key-0", "key-1"), _joined("key-2", "key-3"), "key-4"]),
        (9, [_joined(*_KEYS)]),
    ],
)
def test_idempotency_key(events: int, keys: list[str]) -> None:
    """One event's key is its own, a batch's is made of its events' keys; retries and re-runs send the same."""
    settings: dict[str, Any] = {
        "http_post_batch_max_events": events,
        "http_post_idempotency_header": "Idempotency-Key",
        "http_client_request_max_attempts": 2,
    }
    failed: set[bytes] = set()

    def answer(_number: int, request: Request) -> Answer:
        first = request.body not in failed
        failed.add(request.body)
        return status(503 if first else 204)

    for _ in range(2):
        failed.clear()
        failures, server = _send(Batch(_EVENTS, _KEYS), answer, **settings)
        assert failures == []
        assert [r.headers["idempotency-key"] for r in server.requests] == [key for key in keys for _ in range(2)]
    assert HttpPostDriver("http://h/", **settings).wants_keys
    assert not HttpPostDriver("http://h/").wants_keys


def test_idempotency_key_of_the_content() -> None:
    """Payloads without keys have that of their bytes."""
    _, server = _send([b"a"], http_post_idempotency_header="X-Key")
    assert server.requests[0].headers["x-key"] == hashlib.sha256(b"a").hexdigest()


def test_all_connections_get_full_batches() -> None:
    """What a worker collects is enough for all connections, and bounded by the settings."""
    small = HttpPostDriver("http://h/")
    assert (small.max_batch_events, small.max_batch_bytes, small.max_batch_msec) == (500, 2 << 20, 1000)
    many = HttpPostDriver("http://h/", http_post_batch_max_events=500, http_client_max_parallel_connections=16)
    assert (many.max_batch_events, many.max_batch_bytes) == (10_000, 16 << 20)
    tight = HttpPostDriver(
        "http://h/",
        http_post_max_in_flight_events=7,
        http_post_max_in_flight_bytes=2 << 20,
        http_post_batch_max_events=7,
    )
    assert (tight.max_batch_events, tight.max_batch_bytes) == (7, 2 << 20)


def test_a_slow_target_slows_send() -> None:
    """No request starts before a connection is free: send takes as long as the target needs for all of them."""
    payloads = [b"x" * 1000] * 100
    with run_http_server(lambda _n, _r: Answer(delay=0.05)) as server:
        driver = HttpPostDriver(
            server.url, **_AMPLE, http_post_batch_max_events=10, http_client_max_parallel_connections=2
        )
        with driver.open() as connection:
            begin = time.monotonic()
            assert connection.send(payloads) == []
            arrivals = [request.at - begin for request in server.requests]
    assert len(arrivals) == 10
    assert all(at >= place // 2 * 0.05 for place, at in enumerate(arrivals))
