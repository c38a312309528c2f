"""The search for what a target refuses: exact for a few events, cheap where everything is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dovebeam.transforms.drivers import Failure, HttpPostDriver
from dovebeam.transforms.drivers.http.requests import ALIKE
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

_AMPLE: dict[str, Any] = {"http_client_request_absolute_timeout_msec": 20_000}


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    """One server for many examples, which set its `answer`."""
    with run_http_server() as running:
        yield running


def _send(
    server: HttpServer, payloads: list[bytes], answer: Callable[[int, Request], Answer], **more: Any
) -> list[Failure]:
    server.requests.clear()
    server.answer = answer
    with HttpPostDriver(server.url, **_AMPLE, **more).open() as connection:
        return connection.send(payloads)


def _refusing(bad: set[int], code: int = 400) -> Callable[[int, Request], Answer]:
    refused = {b"%d" % number for number in bad}
    return lambda _, request: status(code if refused & set(request.body.split()) else 204)


def _taken(server: HttpServer, bad: set[int]) -> list[int]:
    bodies = [[int(line) for line in body.split()] for body in server.bodies]
    return [number for body in bodies if not bad & set(body) for number in body]


@pytest.mark.parametrize("parallel", [1, 8])
@pytest.mark.parametrize("code", [400, 422])
def test_target_that_refuses_everything(server: HttpServer, code: int, parallel: int) -> None:
    """4,000 events in requests of 1,000 cost some 40 requests each, more if parts of one are sent at the same time."""
    failures = _send(
        server,
        [b"%d" % number for number in range(4000)],
        lambda *_: status(code),
        http_post_batch_max_events=1000,
        http_client_max_parallel_connections=parallel,
    )
    assert [(failure.index, failure.status, failure.attempts) for failure in failures] == [
        (number, code, 1) for number in range(4000)
    ]
    assert len(server.requests) <= (200 if parallel == 1 else 2000)
    reasons = {failure.reason for failure in failures}
    assert len(reasons) == 2
    assert any("repair what is refused" in reason for reason in reasons)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 300),
    places=st.sets(st.integers(0, 299), max_size=ALIKE),
    size=st.sampled_from([7, 50, 300]),
    parallel=st.sampled_from([1, 5]),
)
@example(count=300, places=set(range(ALIKE)), size=300, parallel=1)
@example(count=300, places={0, 1, 2, 4, 9, 18, 37, 75}, size=300, parallel=1)
def test_few_bad_events_are_found_exactly(
    server: HttpServer, count: int, places: set[int], size: int, parallel: int
) -> None:
    """Wherever they are: they alone are rejected, all others arrive once, and with one connection in order."""
    bad = {place for place in places if place < count}
    failures = _send(
        server,
        [b"%d" % number for number in range(count)],
        _refusing(bad),
        http_post_batch_max_events=size,
        http_client_max_parallel_connections=parallel,
    )
    assert [failure.index for failure in failures] == sorted(bad)
    taken = _taken(server, bad)
    assert (taken if parallel == 1 else sorted(taken)) == [number for number in range(count) if number not in bad]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bad=st.sets(st.integers(0, 99)) | st.integers(0, 100).map(lambda end: set(range(end))),
    parallel=st.sampled_from([1, 5]),
)
def test_every_event_is_delivered_or_rejected(server: HttpServer, bad: set[int], parallel: int) -> None:
    """However many are bad, none is lost, none that is bad is taken for delivered, and none does both."""
    failures = _send(
        server,
        [b"%d" % number for number in range(100)],
        _refusing(bad),
        http_post_batch_max_events=100,
        http_client_max_parallel_connections=parallel,
    )
    failed = [failure.index for failure in failures]
    taken = _taken(server, bad)
    assert sorted(failed + taken) == list(range(100))
    assert bad <= set(failed)


@pytest.mark.parametrize("run", [ALIKE + 1, 40, 60, 99])
def test_long_run_of_bad_events_is_found_exactly(server: HttpServer, run: int) -> None:
    """More than the first few may be bad: what was set aside is searched when something else is delivered."""
    bad = set(range(run))
    failures = _send(server, [b"%d" % n for n in range(100)], _refusing(bad), http_post_batch_max_events=100)
    assert [failure.index for failure in failures] == sorted(bad)
    assert sorted(_taken(server, bad)) == list(range(run, 100))


def test_other_refusals_do_not_speak_for_all(server: HttpServer) -> None:
    """Single events that are refused in two ways are no sign that everything is."""

    def answer(_: int, request: Request) -> Answer:
        alone = request.body.count(b"\n") == 1
        return status(422 if alone and int(request.body) == 0 else 400)

    failures = _send(server, [b"%d" % n for n in range(50)], answer, http_post_batch_max_events=50)
    assert len(failures) == 50
    assert len(server.requests) == 99


def test_target_that_goes_away_in_the_search(server: HttpServer) -> None:
    """What was set aside is rejected when the rest has failed otherwise."""
    payloads = [b"%d" % n for n in range(64)]
    failures = _send(
        server,
        payloads,
        lambda number, _: status(400) if number < 25 else Answer(b"", close=True),
        http_post_batch_max_events=64,
    )
    assert [failure.index for failure in failures] == list(range(64))
