"""What a worker knows of an endpoint: closures, concurrency, rate, and whether it is there."""

from __future__ import annotations

import email.utils
import gc
import threading
import time
from typing import Any

import pytest

from dovebeam.transforms.drivers import Failure, HttpPostDriver
from dovebeam.transforms.drivers.http.endpoint import Endpoint, Member, endpoint_of
from dovebeam.transforms.drivers.http.outcome import Outcome, Trouble
from support.programs import HANG_SECS, free_port
from support.servers.server_http import Answer, HttpServer, Request, run_http_server, status

_QUICK: dict[str, Any] = {
    "http_client_request_absolute_timeout_msec": 10_000,
    "http_client_connect_backoff_time_msec": 1,
    "http_client_connect_backoff_max_time_msec": 10,
}
_BUSY = Outcome("busy", 429, retryable=True)


def _joined(size: int = 16, on_way: int = 0) -> tuple[Endpoint, Member, list[int]]:
    endpoint, requests = Endpoint("test"), [0] * on_way
    member = Member(requests, size)
    endpoint.join(member)
    return endpoint, member, requests


class TestClosing:
    def test_closed_for_everybody(self) -> None:
        """While it is closed nobody may start; each closure is kept, whatever shorter one follows."""
        endpoint, member, _ = _joined()
        other = Member([], 1)
        endpoint.join(other)
        assert endpoint.calm
        endpoint.close_for(5.0, _BUSY)
        endpoint.close_for(1.0, _BUSY)
        now = time.monotonic()
        assert not endpoint.calm
        assert 4.5 < endpoint.asked_secs(now) <= 5.0
        for one in (member, other):
            assert 4.5 < endpoint.permit(one, now) <= 5.0
            assert endpoint.permit(one, now + 5.0) == 0.0
        assert endpoint.calm

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after_is_kept_by_all_connections(self, form: str) -> None:
        """One refusal with Retry-After stops all connections and threads of the worker until it is over."""

        def answer(number: int, _request: Request) -> Answer:
            after = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
            return status(429, f"Retry-After: {after}") if number == 20 else Answer(delay=0.01)

        with run_http_server(answer) as server:
            _send_from_threads(server, threads=3, batch=40, http_client_max_parallel_connections=4)
        assert len(server.requests) == 121
        refused = server.requests[19].at
        later = sorted(r.at - refused for r in server.requests if r.at > refused)
        # Requests that were on their way already are not called back.
        on_way = [at for at in later if at < 0.9]
        assert len(on_way) <= 12
        assert all(at < 0.5 for at in on_way)

    def test_retry_after_is_kept_when_all_connections_have_closed(self) -> None:
        """As after a bundle that failed: the connection of the next one waits until the endpoint may be asked again."""
        with run_http_server(lambda n, _r: status(429, "Retry-After: 1") if n == 1 else status(204)) as server:
            driver = HttpPostDriver(server.url, **_QUICK, http_client_request_max_attempts=1)
            for payload, refused in ((b"a", 1), (b"b", 0)):
                with driver.open() as connection:
                    assert len(connection.send([payload])) == refused
                del connection
                gc.collect()
        first, second = (request.at for request in server.requests)
        assert second - first > 0.9

    def test_backoff_is_kept_by_all_connections(self) -> None:
        """During the pause before a retry no other connection starts anything."""
        with run_http_server(lambda n, _r: status(500) if n == 1 else status(204)) as server:
            driver = HttpPostDriver(server.url, **_QUICK, http_client_request_max_attempts=2)
            with driver.open() as connection:
                endpoint = endpoint_of(server.url)
                closed: list[float] = []
                close_for = endpoint.close_for
                endpoint.close_for = lambda secs, why=None: (closed.append(secs), close_for(0.5, why))[1]  # type: ignore[method-assign]
                sender = threading.Thread(target=connection.send, args=([b"a"],))
                sender.start()
                while not closed and sender.is_alive():
                    time.sleep(0.001)
                with driver.open() as other:
                    assert other.send([b"b"]) == []
                sender.join(HANG_SECS)
        assert len(closed) == 1
        assert min(r.at for r in server.requests[1:]) - server.requests[0].at >= 0.49

    def test_too_long_a_wait_fails_all_that_waits(self) -> None:
        """A Retry-After beyond the limit is not sat out, and nothing is sent while it runs; all reasons are equal."""
        with run_http_server(lambda _n, _r: status(503, "Retry-After: 600")) as server:
            driver = HttpPostDriver(
                server.url, **_QUICK, http_client_request_max_attempts=5, http_client_max_auto_retry_delay_msec=2000
            )
            with driver.open() as connection:
                begin = time.monotonic()
                failures = connection.send([b"%d" % n for n in range(50)])
                later = connection.send([b"later"])
                assert time.monotonic() - begin < 300
        assert len(server.requests) == 1
        assert [f.index for f in failures] == list(range(50))
        assert {(f.status, f.attempts) for f in [*failures, *later]} == {(503, 1)}
        (reason,) = {f.reason for f in [*failures, *later]}
        assert "http_client_max_auto_retry_delay" in reason

    def test_a_pause_of_our_own_is_sat_out(self) -> None:
        """The limit for Retry-After says nothing about pauses between attempts, which may be longer."""
        with run_http_server(lambda n, _r: status(500) if n == 1 else status(204)) as server:
            driver = HttpPostDriver(server.url, http_client_max_auto_retry_delay_msec=1)
            with driver.open() as connection:
                endpoint_of(server.url).close_for(0.3)
                begin = time.monotonic()
                failures = connection.send([b"a", b"b"])
                assert time.monotonic() - begin >= 0.3
        assert [(f.index, f.status) for f in failures] == [(0, 500)]

    def test_forgotten_when_nobody_uses_it(self) -> None:
        """State lives as long as a connection that shares it; what the endpoint asked for, until that is over."""
        assert endpoint_of("http://h:1") is not endpoint_of("http://h:2")
        first = endpoint_of("http://h:1")
        assert endpoint_of("http://h:1") is first
        assert endpoint_of("http://h:1", "http://proxy:3128") is not first
        first.close_for(1000.0)
        del first
        gc.collect()
        assert endpoint_of("http://h:1").calm
        endpoint_of("http://h:3").close_for(1000.0, _BUSY)
        gc.collect()
        assert endpoint_of("http://h:3").asked_secs(time.monotonic()) > 900
        assert endpoint_of("http://h:3").asked_secs(time.monotonic() + 1000) == 0


class TestConcurrency:
    def test_halved_and_grown_again(self) -> None:
        """A refusal halves what may be on its way; each window of successes adds one; at the top it is forgotten."""
        endpoint, member, on_way = _joined(size=16, on_way=15)
        endpoint.failed(Trouble.BUSY, time.monotonic(), adaptive=True)
        assert _allowed(endpoint, member, on_way) == 8
        endpoint.succeeded(8)
        assert _allowed(endpoint, member, on_way) == 9
        for _ in range(20):
            endpoint.succeeded(16)
        assert endpoint.calm
        assert _allowed(endpoint, member, on_way) == 16

    @pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.SLOW])
    def test_a_wave_halves_once(self, trouble: Trouble) -> None:
        """Requests that were on their way when the first of them failed say nothing new."""
        endpoint, member, on_way = _joined(size=16, on_way=15)
        started = time.monotonic() - 0.1
        for _ in range(16):
            endpoint.failed(trouble, started, adaptive=True)
        assert _allowed(endpoint, member, on_way) == 8
        on_way[:] = [0] * 7
        endpoint.failed(trouble, time.monotonic(), adaptive=True)
        assert _allowed(endpoint, member, on_way) == 4

    def test_never_below_one(self) -> None:
        """However often it is refused, one request may be on its way."""
        endpoint, member, on_way = _joined(size=16)
        for _ in range(10):
            endpoint.failed(Trouble.BUSY, time.monotonic(), adaptive=True)
        assert _allowed(endpoint, member, on_way) == 1

    @pytest.mark.parametrize(
        ("trouble", "adaptive"), [(Trouble.BUSY, False), (Trouble.NONE, True), (Trouble.LOST, True)]
    )
    def test_what_does_not_halve(self, trouble: Trouble, adaptive: bool) -> None:
        """Refusals of payloads, lost connections, and anything when it is switched off."""
        endpoint, member, on_way = _joined(size=16, on_way=15)
        endpoint.failed(trouble, time.monotonic(), adaptive=adaptive)
        assert _allowed(endpoint, member, on_way) == 16

    def test_shared_by_all_deliveries(self) -> None:
        """The limit holds for all threads together."""
        endpoint, member, on_way = _joined(size=8, on_way=8)
        other = Member([0] * 7, 8)
        endpoint.join(other)
        endpoint.failed(Trouble.BUSY, time.monotonic(), adaptive=True)
        on_way[:] = [0] * 4
        other.on_way = [0] * 4
        assert endpoint.permit(other, time.monotonic()) > 0
        other.on_way = [0] * 3
        assert endpoint.permit(other, time.monotonic()) == 0
        endpoint.leave(member)
        other.on_way = [0] * 7
        assert endpoint.permit(other, time.monotonic()) == 0

    def test_a_target_with_a_limit_gets_what_it_can_take(self) -> None:
        """A server that refuses more than 4 requests at a time gets everything, refusing few."""
        at_once, most, lock, refused = 0, 4, threading.Lock(), 0

        def answer(_number: int, _request: Request) -> Answer:
            nonlocal at_once, refused
            with lock:
                at_once += 1
                over = at_once > most
                refused += over
            if not over:
                time.sleep(0.02)
            with lock:
                at_once -= 1
            return status(429 if over else 204)

        payloads = [b"%d" % n for n in range(400)]
        with run_http_server(answer) as server:
            driver = HttpPostDriver(
                server.url,
                **_QUICK,
                http_client_max_parallel_connections=16,
                http_client_request_max_attempts=50,
            )
            with driver.open() as connection:
                assert connection.send(payloads) == []
        assert set(server.bodies) == set(payloads)
        assert refused < 150


class TestRate:
    def test_all_threads_share_it(self) -> None:
        """Requests of all connections to the endpoint together keep the limit."""
        with run_http_server() as server:
            begin = time.monotonic()
            _send_from_threads(
                server, threads=3, batch=40, http_client_max_parallel_connections=4, http_post_rate_limit=100
            )
            seconds = time.monotonic() - begin
        assert seconds >= 1.1
        arrivals = sorted(request.at for request in server.requests)
        for first, last in zip(arrivals, arrivals[60:], strict=False):
            assert last - first > 0.4

    def test_connections_one_after_the_other_share_it(self) -> None:
        """A connection that opens after the last one has closed begins with what the limit has left, not anew."""
        with run_http_server() as server:
            begin = time.monotonic()
            for _ in range(3):
                _send_from_threads(server, threads=1, batch=20, http_post_rate_limit=100)
            assert time.monotonic() - begin >= 0.5

    def test_batches_count_as_requests(self) -> None:
        """The limit is one of requests, not of events."""
        with run_http_server() as server:
            begin = time.monotonic()
            _send_from_threads(server, threads=1, batch=400, http_post_batch_max_events=100, http_post_rate_limit=10)
            assert time.monotonic() - begin >= 0.25
        assert len(server.requests) == 4


class TestDeadTargets:
    @pytest.mark.parametrize(("trouble", "waves"), [(Trouble.UNREACHABLE, 3), (Trouble.SLOW, 12), (Trouble.LOST, 12)])
    def test_evidence(self, trouble: Trouble, waves: int) -> None:
        """Three waves without a connection or twelve without an answer; a success in between begins anew."""
        endpoint, member, on_way = _joined(on_way=1)
        for _ in range(waves - 1):
            endpoint.failed(trouble, time.monotonic(), adaptive=False)
        endpoint.succeeded(1)
        for _ in range(waves - 1):
            endpoint.failed(trouble, time.monotonic(), adaptive=False)
        assert endpoint.permit(member, time.monotonic()) == 0.0
        endpoint.failed(trouble, time.monotonic(), adaptive=False)
        assert endpoint.permit(member, time.monotonic()) > 0.0
        on_way.clear()
        assert endpoint.permit(member, time.monotonic()) == 0.0

    def test_one_probe_at_a_time(self) -> None:
        """Of all deliveries one probes; when it leaves or its probe ends another one may; a success ends it."""
        endpoint, member, _ = _joined()
        other = Member([], 1)
        endpoint.join(other)
        for _ in range(3):
            endpoint.failed(Trouble.UNREACHABLE, time.monotonic(), adaptive=False)
        assert endpoint.permit(member, 0.0) == 0.0
        assert endpoint.permit(other, 0.0) > 0.0
        assert not endpoint.probed(other)
        endpoint.leave(member)
        assert endpoint.permit(other, 0.0) == 0.0
        assert endpoint.probed(other)
        endpoint.join(member)
        assert endpoint.permit(member, 0.0) == 0.0
        endpoint.succeeded(1)
        assert endpoint.permit(other, 0.0) == 0.0
        assert endpoint.calm

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_closed_port(self, attempts: int) -> None:
        """A batch for a port where nothing listens costs a few connects for each attempt, and nothing is lost."""
        driver = HttpPostDriver(f"http://127.0.0.1:{free_port()}", **_QUICK, http_client_request_max_attempts=attempts)
        with driver.open() as connection:
            failures = connection.send([b"%d" % n for n in range(5000)])
        assert [f.index for f in failures] == list(range(5000))
        assert {f.attempts for f in failures} == {attempts}
        assert len({f.reason for f in failures}) == 1

    def test_target_that_never_answers(self) -> None:
        """500 events cost about twelve time limits the first time and one the second, not 500."""
        with run_http_server(lambda _n, _r: Answer(delay=60)) as server:
            driver = HttpPostDriver(server.url, http_client_request_absolute_timeout_msec=100)
            with driver.open() as connection:
                begin = time.monotonic()
                failures = connection.send([b"%d" % n for n in range(500)])
                assert time.monotonic() - begin > 1.2
                again = connection.send([b"%d" % n for n in range(500)])
        assert [f.index for f in failures] == [f.index for f in again] == list(range(500))
        assert {f.attempts for f in [*failures, *again]} == {1}
        assert len(server.requests) <= 14

    def test_target_that_comes_back(self) -> None:
        """The first probe that succeeds sets everything going again, over all connections."""
        silent = threading.Event()
        silent.set()
        with run_http_server(lambda _n, _r: Answer(delay=3) if silent.is_set() else Answer(delay=0.02)) as server:
            driver = HttpPostDriver(
                server.url,
                http_client_request_absolute_timeout_msec=100,
                http_client_max_parallel_connections=4,
                http_client_request_max_attempts=1000,
                http_client_connect_backoff_max_time_msec=50,
            )
            payloads = [b"%d" % n for n in range(400)]
            with driver.open() as connection:
                failures: list[Failure] = []
                sender = threading.Thread(target=lambda: failures.extend(connection.send(payloads)))
                sender.start()
                time.sleep(1.5)
                before = len(server.requests)
                silent.clear()
                sender.join(HANG_SECS)
                assert not sender.is_alive()
        assert failures == []
        assert set(server.bodies[before:]) >= set(payloads)

    def test_a_slow_target_is_not_taken_for_dead(self) -> None:
        """While some answers come in time, every payload gets its own attempts."""
        with run_http_server(lambda n, _r: Answer(delay=0 if n % 5 == 0 else 1)) as server:
            driver = HttpPostDriver(
                server.url,
                http_client_request_absolute_timeout_msec=100,
                http_client_max_parallel_connections=4,
                http_post_adaptive_concurrency=False,
            )
            with driver.open() as connection:
                failures = connection.send([b"%d" % n for n in range(60)])
        assert len(server.requests) == 60
        assert len(failures) == 48

    def test_order_survives_a_dead_time(self) -> None:
        """With one connection payloads arrive in order when the target is back."""
        port = free_port()
        driver = HttpPostDriver(f"http://127.0.0.1:{port}", **_QUICK, http_client_request_max_attempts=1_000_000)
        payloads = [b"%d" % n for n in range(100)]
        failures: list[Failure] = []
        with driver.open() as connection:
            sender = threading.Thread(target=lambda: failures.extend(connection.send(payloads)))
            sender.start()
            time.sleep(0.3)
            with run_http_server(port=port) as server:
                sender.join(HANG_SECS)
        assert failures == []
        assert server.bodies == payloads


def _allowed(endpoint: Endpoint, member: Member, on_way: list[int]) -> int:
    """How many requests the member may have on their way."""
    on_way.clear()
    while len(on_way) < member.size and endpoint.permit(member, time.monotonic()) == 0.0:
        on_way.append(0)
    return len(on_way)


def _send_from_threads(server: HttpServer, *, threads: int, batch: int, **settings: Any) -> None:
    """Sends as several threads of one worker do, each with a connection of its own; nothing may fail."""
    driver = HttpPostDriver(server.url, **{**_QUICK, "http_client_request_max_attempts": 3, **settings})
    failures: list[Failure] = []

    def send(part: int) -> None:
        with driver.open() as connection:
            failures.extend(connection.send([b"%d-%d" % (part, n) for n in range(batch)]))

    workers = [threading.Thread(target=send, args=(part,)) for part in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(HANG_SECS)
    assert not any(worker.is_alive() for worker in workers)
    assert failures == []
