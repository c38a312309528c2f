"""When a request is sent again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.drivers.http.backlog import RetryPolicy
from dovebeam.transforms.drivers.http.outcome import Outcome
from support.programs import free_port
from support.servers.server_http import Answer, run_http_server, status


def _policy(**settings: Any) -> RetryPolicy:
    return RetryPolicy(HttpPostDriver("http://h/", **{"http_client_request_max_attempts": 10, **settings}))


_MAYBE = Outcome("r", 500, retryable=True)


@pytest.mark.parametrize(
    ("settings", "tries", "ceiling"),
    [
        ({}, 1, 0.1),
        ({}, 2, 0.2),
        ({}, 5, 1.6),
        ({"http_client_request_max_attempts": 100}, 50, 60.0),
        ({"http_client_connect_backoff_time_msec": 1000}, 3, 4.0),
        ({"http_client_connect_backoff_max_time_msec": 300}, 5, 0.3),
        ({"http_client_connect_backoff_max_time_msec": None}, 5, 1.6),
    ],
)
def test_full_jitter(settings: dict[str, Any], tries: int, ceiling: float) -> None:
    """Pauses are spread over all of nothing to a ceiling, which doubles up to a limit."""
    policy = _policy(**settings)
    pauses = [policy.pause(_MAYBE, tries, 0.0, 0.0) for _ in range(2000)]
    assert all(pause is not None and 0 <= pause <= ceiling for pause in pauses)
    for part in range(4):
        inside = [p for p in pauses if p is not None and ceiling * part / 4 <= p <= ceiling * (part + 1) / 4]
        assert 350 < len(inside) < 650


@pytest.mark.parametrize(
    ("outcome", "tries", "pause"),
    [
        (Outcome("r", 400), 1, None),
        (_MAYBE, 10, None),
        (Outcome("r", 408, retryable=True, at_once=True), 9, 0.0),
        (Outcome("r", 429, retryable=True, retry_after_secs=7.0), 1, 7.0),
        (Outcome("r", 429, retryable=True, retry_after_secs=7.0), 10, None),
    ],
)
def test_rules(outcome: Outcome, tries: int, pause: float | None) -> None:
    """No retry without hope or attempts; 408 at once; Retry-After as it says."""
    assert _policy().pause(outcome, tries, 0.0, 0.0) == pause


@pytest.mark.parametrize(("elapsed", "after", "pause"), [(0.0, 7.0, 7.0), (2.9, 7.0, 7.0), (3.1, 7.0, None)])
def test_budget(elapsed: float, after: float, pause: float | None) -> None:
    """The last attempt begins within the budget, counted from the begin of the first."""
    policy = _policy(http_post_retry_budget_msec=10_000)
    outcome = Outcome("r", 429, retryable=True, retry_after_secs=after)
    assert policy.pause(outcome, 1, 100.0, 100.0 + elapsed) == pause


def test_budget_ends_the_attempts() -> None:
    """A target that stays broken costs the budget and not more, however many attempts there are."""
    with (
        run_http_server(lambda _n, _r: status(500)) as server,
        HttpPostDriver(
            server.url,
            http_client_request_max_attempts=1_000_000,
            http_client_connect_backoff_max_time_msec=50,
            http_post_retry_budget_msec=500,
        ).open() as connection,
    ):
        begin = time.monotonic()
        (failure,) = connection.send([b"a"])
        assert time.monotonic() - begin > 0.3
    assert failure.attempts == len(server.requests) > 5
    assert (failure.status, failure.reason) == (500, "the target answered 500 Internal Server Error")


def test_budget_of_a_dead_target() -> None:
    """All that waits for a target that is not there shares the time of the first: a batch costs one budget."""
    driver = HttpPostDriver(
        f"http://127.0.0.1:{free_port()}",
        http_client_request_max_attempts=1_000_000,
        http_client_connect_backoff_max_time_msec=50,
        http_post_retry_budget_msec=500,
    )
    with driver.open() as connection:
        begin = time.monotonic()
        failures = connection.send([b"%d" % n for n in range(200)])
        assert time.monotonic() - begin < 50
    assert [f.index for f in failures] == list(range(200))
    assert len({f.reason for f in failures}) == 1


def test_a_redirect_does_not_renew_the_attempts() -> None:
    """A redirect belongs to its attempt; the attempts of a redirected request are counted as any other's."""
    with (
        run_http_server(
            lambda _n, request: status(503) if b"/other" in request.head else status(307, "Location: /other")
        ) as server,
        HttpPostDriver(
            server.url,
            http_client_request_max_attempts=2,
            http_client_request_max_redirects=1,
            http_client_connect_backoff_time_msec=1,
        ).open() as connection,
    ):
        (failure,) = connection.send([b"a"])
    assert (failure.attempts, failure.status, len(server.requests)) == (2, 503, 4)


def test_timed_out_attempts_have_the_whole_limit_each() -> None:
    """Neither pauses nor earlier attempts take from an attempt's time."""
    with (
        run_http_server(lambda number, _r: Answer(delay=60 if number < 3 else 0.5)) as server,
        HttpPostDriver(
            server.url,
            http_client_request_absolute_timeout_msec=1500,
            http_client_request_max_attempts=3,
            http_client_connect_backoff_time_msec=1,
        ).open() as connection,
    ):
        assert connection.send([b"a"]) == []
    assert len(server.requests) == 3
