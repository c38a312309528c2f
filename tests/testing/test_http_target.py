"""The endpoint on loopback: it answers by a script and keeps what came."""

import http.client
import threading
import time
from typing import Any

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.testing import Answer, HttpTarget
from support.programs import HANG_SECS


def posted(target: HttpTarget, payloads: list[bytes], **settings: Any) -> list[Any]:
    """What dovebeam's driver says of these payloads."""
    driver = HttpPostDriver(f"{target.url}/in?x=1", http_client_request_absolute_timeout_msec=20_000, **settings)
    with driver.open() as connection:
        return [(failure.index, failure.status) for failure in connection.send(payloads)]


def test_http_target() -> None:
    """It keeps the requests, and answers by its script; the last answer is for all that follow."""
    script = [Answer(503, {"Retry-After": "0"}), 200, Answer(400, body=b"no")]
    with HttpTarget(script) as target:
        failures = posted(target, [b'{"n":1}', b"b", b"c"], http_client_request_max_attempts=2)
    assert failures == [(1, 400), (2, 400)]
    assert [request.body for request in target.requests] == [b'{"n":1}', b'{"n":1}', b"b", b"c"]
    first = target.requests[0]
    assert (first.method, first.path, first.headers["content-type"]) == ("POST", "/in?x=1", "application/json")
    assert first.json() == {"n": 1}
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(target.url.removeprefix("http://"), timeout=HANG_SECS).request("GET", "/")


def test_http_target_with_batches_and_a_function() -> None:
    """A function answers by what is in a request; the lines of a batch are apart."""
    with HttpTarget(lambda request: 422 if b"bad" in request.body else 200) as target:
        assert posted(target, [b"a", b"bad", b"c"], http_post_batch_max_events=10) == [(1, 422)]
    assert target.requests[0].lines == [b"a", b"bad", b"c"]


@pytest.mark.parametrize(
    ("answer", "least_msec", "outcome"),
    [(Answer(hang_up=True), 0, [(0, None)]), (Answer(delay_msec=300), 300, [])],
    ids=["hangs up", "is slow"],
)
def test_http_target_in_trouble(answer: Answer, least_msec: int, outcome: list[Any]) -> None:
    """It can hang up and be slow."""
    with HttpTarget([answer]) as target:
        began = time.monotonic()
        assert posted(target, [b"x"]) == outcome
        assert (time.monotonic() - began) * 1000 >= least_msec


def test_http_target_needs_an_answer_and_leaves_no_thread() -> None:
    """An empty script is a mistake; after the block nothing runs on."""
    with pytest.raises(ValueError, match="at least one answer"):
        HttpTarget([])
    target = HttpTarget()
    with pytest.raises(RuntimeError, match="with HttpTarget"):
        _ = target.url
    with target:
        assert target.url.startswith("http://127.0.0.1:")
        assert [thread.name for thread in threading.enumerate() if thread.name == target.url] == [target.url]
    assert not [thread for thread in threading.enumerate() if thread.name == target.url]
