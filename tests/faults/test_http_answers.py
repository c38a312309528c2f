"""http-post against targets that answer late, never, or with a refusal: every event arrives or is in the rejects."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.jobs.fault_server_job import PATIENT, FaultJob
from support.servers.fault_server_control import FaultServer, Seen, fault_server

_RETRIES = (
    *PATIENT,
    "http_client_request_max_attempts = 100",
    "http_client_connect_backoff_max_time = 500 ms",
    "http_post_retry_budget = 30 s",
)
_TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
_BATCHES = (*PATIENT, "http_post_batch_max_events = 500", "http_post_batch_max_bytes = 4 M")


def _connections(count: int) -> str:
    return f"http_client_max_parallel_connections = {count}"


@pytest.mark.parametrize(("delay_secs", "events"), [(0.05, 400), (10.0, 40)])
def test_late_answers_in_time_deliver(job: FaultJob, tmp_path: Path, delay_secs: float, events: int) -> None:
    """A target that is slow, but faster than the time limit, gets every event exactly once."""
    with fault_server(tmp_path, {"delay_secs": delay_secs}) as server:
        job.prepare(server.url, (*PATIENT, _connections(40)), events=events)
        job.check(job.run(), server, delivered=events)


@pytest.mark.parametrize("rule", [{"delay_secs": 10.0}, {"action": "never"}], ids=["after 10 s", "never"])
def test_answers_after_the_limit_are_rejects(job: FaultJob, tmp_path: Path, rule: dict[str, object]) -> None:
    """Dovecot's documented 250 ms end each attempt, and all of them together end the job."""
    with fault_server(tmp_path, rule) as server:
        job.prepare(server.url, (_connections(4),), events=40)
        begin = time.monotonic()
        job.check(job.run(), server, delivered=0)
        assert time.monotonic() - begin < 80
        for reject in job.rejects():
            assert reject["errorMessage"].startswith("timed out: ")
            assert reject["endpointHost"] == server.url.removesuffix("/events")
            assert reject["attempts"] >= 1


@pytest.mark.parametrize("workers", [(), _TWO_WORKERS], ids=["in process", "two workers"])
def test_errors_for_a_while_are_outlasted(job: FaultJob, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """A target that answers 500 for two seconds gets everything once it has recovered."""
    with fault_server(tmp_path, {"status": 500, "secs": 2.0}, {}) as server:
        job.prepare(server.url, (*_RETRIES, _connections(8)), events=300)
        job.check(job.run(*workers), server, delivered=300)
        assert [seen for seen in server.seen() if seen.status == 500]


def test_errors_for_longer_than_the_budget_are_rejects(job: FaultJob, tmp_path: Path) -> None:
    """The retry budget ends what attempts alone would go on with for minutes; status and attempts are told."""
    settings = (*PATIENT, "http_client_request_max_attempts = 1000000", "http_post_retry_budget = 1 s")
    with fault_server(tmp_path, {"status": 500}) as server:
        job.prepare(server.url, (*settings, _connections(20)), events=20)
        job.check(job.run(), server, delivered=0)
        assert {reject["httpStatus"] for reject in job.rejects()} == {500}
        assert all(reject["attempts"] >= 2 for reject in job.rejects())


@pytest.mark.parametrize(("form", "connections"), [("seconds", 1), ("seconds", 8), ("date", 8)])
def test_retry_after_is_kept(job: FaultJob, tmp_path: Path, form: str, connections: int) -> None:
    """After 429 nobody asks the target again before its Retry-After is over; then everything arrives."""
    refusal = {"requests": 1, "status": 429, "retry_after_secs": 2, "retry_after_as": form}
    with fault_server(tmp_path, refusal, {}) as server:
        job.prepare(server.url, (*_RETRIES, _connections(connections)), events=100)
        job.check(job.run(), server, delivered=100)
        _check_quiet(server.seen(), secs=2.0, on_their_way=connections - 1)


def _check_quiet(seen: list[Seen], secs: float, on_their_way: int) -> None:
    """For some seconds after the refusal nothing came but what other connections had sent before it was heard."""
    refused = next(index for index, request in enumerate(seen) if request.status == 429)
    early = [request for request in seen[refused + 1 :] if request.at < seen[refused].at + secs]
    assert len(early) <= on_their_way
    assert all(request.at < seen[refused].at + 0.5 for request in early)
    assert max(request.at for request in seen) >= seen[refused].at + secs


def test_target_that_serves_few_at_once_is_not_pressed(job: FaultJob, tmp_path: Path) -> None:
    """A gateway that takes 4 requests at once and answers 429 to others gets everything, and is soon asked less."""
    with fault_server(tmp_path, {"delay_secs": 0.02, "max_at_once": 4}) as server:
        job.prepare(server.url, (*_RETRIES, _connections(32)), events=600)
        job.check(job.run(), server, delivered=600)
        refused = [seen for seen in server.seen() if seen.status == 429]
        assert 0 < len(refused) < 300


def test_too_large_bodies_are_split(job: FaultJob, tmp_path: Path) -> None:
    """A target that takes 20,000 bytes gets a batch of ten times as much in pieces, each event once."""
    with fault_server(tmp_path, {"max_body": 20_000}) as server:
        job.prepare(server.url, _BATCHES, events=1000)
        job.check(job.run(), server, delivered=1000)
        assert [seen for seen in server.seen() if seen.status == 413]
        assert len([seen for seen in server.seen() if seen.status == 204]) < 100


def test_too_large_bodies_are_split_though_the_target_does_not_read_them(job: FaultJob, tmp_path: Path) -> None:
    """The same if the target answers 413 at the head already and closes, as servers do."""
    with fault_server(tmp_path, {"action": "refuse_early", "max_body": 200_000}) as server:
        job.prepare(server.url, _BATCHES, events=500, pad=2000)
        job.check(job.run(), server, delivered=500)
        assert [seen for seen in server.seen() if seen.status == 413]


def test_an_event_that_is_too_large_alone_is_a_reject(job: FaultJob, tmp_path: Path) -> None:
    """What cannot be split any further is rejected with 413; the others of its batch arrive."""
    with fault_server(tmp_path, {"max_body": 20_000}) as server:
        job.prepare(server.url, _BATCHES, events=99)
        job.add_event("huge", pad=30_000)
        job.check(job.run(), server, delivered=99)
        assert set(job.rejected()) == {"huge"}
        assert job.rejects()[0]["httpStatus"] == 413


@pytest.mark.parametrize(("place", "framing"), [(0, "lines"), (250, "array"), (499, "lines")])
def test_one_poison_event_is_found(job: FaultJob, tmp_path: Path, place: int, framing: str) -> None:
    """Of 500 events in a batch exactly the one that the target answers with 400 is rejected, in 20 requests at most."""
    with fault_server(tmp_path, {"poison": f"e{place:07}"}) as server:
        job.prepare(server.url, (*_BATCHES, f"http_post_batch_format = {framing}"), events=500)
        job.check(job.run(), server, delivered=499)
        assert set(job.rejected()) == {f"e{place:07}"}
        assert job.rejects()[0]["httpStatus"] == 400
        assert len(server.seen()) <= 20


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_one_poison_event_is_found_in_compressed_bodies(job: FaultJob, tmp_path: Path, compression: str) -> None:
    """The same with compressed bodies."""
    with fault_server(tmp_path, {"poison": "e0000123"}) as server:
        job.prepare(server.url, (*_BATCHES, f"http_post_compression = {compression}"), events=500)
        job.check(job.run(), server, delivered=499)
        assert set(job.rejected()) == {"e0000123"}
        assert {seen.headers.get("content-encoding") for seen in server.seen()} == {compression}
        assert len(server.seen()) <= 20


def test_a_target_that_refuses_everything_gets_no_storm(job: FaultJob, tmp_path: Path) -> None:
    """With 400 for whatever comes, all of 1,000 events are rejected, after a search that ends early."""
    with fault_server(tmp_path, {"status": 400}) as server:
        job.prepare(server.url, _BATCHES, events=1000)
        job.check(job.run(), server, delivered=0)
        assert {reject["httpStatus"] for reject in job.rejects()} == {400}
        assert len(server.seen()) <= 400


@pytest.mark.parametrize("code", [301, 307])
def test_redirects_to_another_host_are_not_followed(job: FaultJob, tmp_path: Path, code: int) -> None:
    """Even where redirects are allowed no event goes to another host; it is in the rejects."""
    with fault_server(tmp_path, host="127.0.0.2") as other:
        rule = {"status": code, "headers": [f"Location: {other.url}"]}
        with fault_server(tmp_path, rule) as server:
            job.prepare(server.url, (*PATIENT, "http_client_request_max_redirects = 5"), events=20)
            job.check(job.run(), server, delivered=0)
            assert {reject["httpStatus"] for reject in job.rejects()} == {code}
            assert _events_of(server) == set(job.ids)
        assert other.seen() == []


def _events_of(server: FaultServer) -> set[str]:
    return {event for seen in server.seen() for event in seen.ids}


def test_idempotency_keys_stay_the_same_over_retries_and_runs(job: FaultJob, tmp_path: Path) -> None:
    """A target can tell a repetition: one key for one event, whether it is tried again or the job is run again."""
    keyed = (*_RETRIES, "http_post_idempotency_header = Idempotency-Key", _connections(4))
    with fault_server(tmp_path, {"action": "reset_acknowledged", "requests": 10}, {}) as server:
        job.prepare(server.url, keyed, events=100)
        job.check(job.run(), server, delivered=100, twice=True)
        job.check(job.run(), server, delivered=100, twice=True)
        pairs = {(event, seen.headers["idempotency-key"]) for seen in server.seen() for event in seen.ids}
        assert len(pairs) == 100
        assert len({key for _, key in pairs}) == 100
        assert sum(server.delivered().values()) == 210
