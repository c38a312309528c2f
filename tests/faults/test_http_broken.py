"""http-post against targets that break the protocol or are not there: every event arrives or is in the rejects."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.jobs.fault_server_job import PATIENT, FaultJob
from support.programs import free_port
from support.servers.fault_server_control import FaultServer, fault_server

_EVENTS = 60
_CONNECTIONS = "http_client_max_parallel_connections = 4"
_RETRIES = (
    *(*PATIENT, _CONNECTIONS, "http_client_request_max_attempts = 1000", "http_post_retry_budget = 30 s"),
    "http_client_connect_backoff_max_time = 500 ms",
)

_NO_ANSWER = {
    "reset before the body": ({"action": "reset_early"}, "connection lost: "),
    "reset after the body": ({"action": "reset_late"}, "connection lost: "),
    "closed without an answer": ({"action": "close"}, "connection lost: "),
    "half a head": ({"action": "half_head"}, ""),
    "garbage": ({"action": "garbage"}, "bad response: "),
}


@pytest.mark.parametrize("case", _NO_ANSWER)
def test_what_got_no_answer_is_rejected(job: FaultJob, tmp_path: Path, case: str) -> None:
    """With Dovecot's one attempt each event is rejected, with the reason and without a status."""
    rule, reason = _NO_ANSWER[case]
    with fault_server(tmp_path, rule) as server:
        job.prepare(server.url, (*PATIENT, _CONNECTIONS), events=_EVENTS)
        job.check(job.run(), server, delivered=0)
        for reject in job.rejects():
            assert reject["errorMessage"].startswith(reason)
            assert reject["httpStatus"] is None


@pytest.mark.parametrize("case", ["reset before the body", "reset after the body", "closed without an answer"])
def test_lost_connections_are_replaced(job: FaultJob, tmp_path: Path, case: str) -> None:
    """With retries a target that breaks its first 30 connections still gets every event."""
    with fault_server(tmp_path, {**_NO_ANSWER[case][0], "requests": 30}, {}) as server:
        job.prepare(server.url, _RETRIES, events=_EVENTS)
        job.check(job.run(), server, delivered=_EVENTS)


def test_lost_answers_repeat_events(job: FaultJob, tmp_path: Path) -> None:
    """A target that took events but whose answers were lost gets them again: at least once, and no more often."""
    with fault_server(tmp_path, {"action": "reset_acknowledged", "requests": 30}, {}) as server:
        job.prepare(server.url, _RETRIES, events=_EVENTS)
        job.check(job.run(), server, delivered=_EVENTS, twice=True)
        assert sum(server.delivered().values()) == _EVENTS + 30


@pytest.mark.parametrize("action", ["endless", "half_body"])
def test_bodies_of_answers_do_not_matter(job: FaultJob, tmp_path: Path, action: str) -> None:
    """Success is told by the status; a body that never ends is cut off, neither kept nor waited for."""
    with fault_server(tmp_path, {"action": action, "status": 200}) as server:
        job.prepare(server.url, (*PATIENT, _CONNECTIONS), events=_EVENTS)
        begin = time.monotonic()
        job.check(job.run(), server, delivered=_EVENTS)
        assert time.monotonic() - begin < 150  # one by one they would wait for 300 s


def test_endless_body_of_a_refusal_is_a_reject(job: FaultJob, tmp_path: Path) -> None:
    """A refusal is one, however much the target has to say about it."""
    with fault_server(tmp_path, {"action": "endless", "status": 404}) as server:
        job.prepare(server.url, (*PATIENT, _CONNECTIONS), events=_EVENTS)
        job.check(job.run(), server, delivered=0)
        assert {reject["httpStatus"] for reject in job.rejects()} == {404}


def test_closed_port_rejects_everything(job: FaultJob, tmp_path: Path) -> None:
    """Where nothing listens all 2,000 events are in the rejects, with the place and what to do."""
    port = free_port()
    job.prepare(f"http://127.0.0.1:{port}/events", events=2000)
    job.check(job.run(), None, delivered=0)
    for reject in job.rejects():
        assert reject["errorMessage"].startswith("connect failed: ")
        assert "start the server" in reject["errorMessage"]
        assert reject["endpointHost"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("batch", [1, 100])
def test_port_that_opens_within_the_budget_gets_everything(job: FaultJob, tmp_path: Path, batch: int) -> None:
    """A target that starts three seconds after the job loses nothing."""
    server = FaultServer(tmp_path)
    job.prepare(server.url, (*_RETRIES, f"http_post_batch_max_events = {batch}"), events=500)
    with _started_after(server, 3.0):
        job.check(job.run(), server, delivered=500)


def test_port_that_opens_after_the_budget_gets_nothing_of_what_was_given_up(job: FaultJob, tmp_path: Path) -> None:
    """The budget bounds the wait; what it ended is in the rejects, and nowhere else."""
    port = free_port()
    settings = (*PATIENT, "http_client_request_max_attempts = 1000000", "http_post_retry_budget = 1 s")
    job.prepare(f"http://127.0.0.1:{port}/events", (*settings, _CONNECTIONS), events=500)
    begin = time.monotonic()
    job.check(job.run(), None, delivered=0)
    assert time.monotonic() - begin > 1


def test_listener_that_never_accepts_rejects_everything(job: FaultJob) -> None:
    """A full queue of a listener drops what comes, as a firewall would: connecting ends with the time limit."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as fillers:
        address = listener.getsockname()
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        job.prepare(f"http://127.0.0.1:{address[1]}/events", (_CONNECTIONS,), events=40)
        job.check(job.run(), None, delivered=0)
        assert all(reject["errorMessage"].startswith("timed out: ") for reject in job.rejects())


@pytest.mark.parametrize("case", ["never answers", "closed port"])
def test_many_events_do_not_wait_for_a_dead_target_one_by_one(job: FaultJob, tmp_path: Path, case: str) -> None:
    """With one connection and 250 ms an attempt, 20,000 events would take more than an hour; few of them are tried."""
    with fault_server(tmp_path, {"action": "never"}) as server:
        if case == "closed port":
            server.kill()
        job.prepare(server.url, (), events=20_000)
        begin = time.monotonic()
        job.check(job.run(), server, delivered=0)
        assert time.monotonic() - begin < 500  # a tenth of an hour and more, so that a busy machine is no matter
        assert len(server.seen()) < 500


@contextmanager
def _started_after(server: FaultServer, secs: float) -> Iterator[None]:
    """Starts a server while the block runs, and kills it at its end."""
    timer = threading.Timer(secs, server.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        server.kill()
