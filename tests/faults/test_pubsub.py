"""A stream from Pub/Sub that is stopped, killed and started again, on Google's own test server: no message is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jobs.commands import exporter, metric, write_config
from support.jobs.stream_job import StreamJob, numbered_events, numbers_in
from support.programs import HANG_SECS
from support.servers.fault_server_control import fault_server
from support.servers.pubsub_server import SUBSCRIPTION, Publisher, PubSubServer, pubsub_server

_MESSAGES = 100_000
_PER_SECOND = 10_000
_BAD = [b"no event", b"", b"{broken", b'{"event":"fault_test"}\nno event', b"\xff\xfe", b" \n"]
_PATIENT = ("http_client_request_absolute_timeout = 10 min", "http_client_max_parallel_connections = 1")


@pytest.fixture
def server() -> Iterator[PubSubServer]:
    """Google's server, with a topic and a subscription."""
    with pubsub_server() as started:
        yield started


def _job(folder: Path, server: PubSubServer, driver: str, *settings: str) -> StreamJob:
    source = ["--input_subscription", SUBSCRIPTION]
    return StreamJob(folder, driver, *settings, source=source, environment=server.environment)


def test_stopped_and_killed(tmp_path: Path, server: PubSubServer) -> None:
    """200,000 messages come while the job runs, is drained, is killed twice, and runs again: all arrive."""
    target = tmp_path / "delivered.json"
    stream = _job(tmp_path, server, "file", f"file_path = {target}")
    events = numbered_events(0, _MESSAGES)
    with Publisher(server, events, _PER_SECOND) as publisher:
        for turn, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGKILL), start=1):
            with stream.running() as process:
                goal, seen = _MESSAGES * turn // 4, len(numbers_in(target))
                stream.wait_until(
                    process,
                    lambda goal=goal, seen=seen: publisher.published >= goal and len(numbers_in(target)) > seen,
                    "some events",
                )
                if end == signal.SIGTERM:
                    stream.drain(process)
                else:
                    os.killpg(process.pid, end)
                    process.wait(HANG_SECS)
        with stream.running() as process:
            publisher.wait(HANG_SECS)
            stream.wait_until(process, lambda: len(set(numbers_in(target))) == _MESSAGES, "all events")
            stream.drain(process)
    assert server.left() == []
    assert stream.rejected() == b""
    repeated = len(numbers_in(target)) - _MESSAGES
    print(f"\n{_MESSAGES} messages, a drain, two kills: none lost, {repeated} twice")
    assert repeated < _MESSAGES // 4


def test_drained_job_leaves_nothing_and_repeats_nothing(tmp_path: Path, server: PubSubServer) -> None:
    """What was delivered is acknowledged, what was only pulled is given back at once: two drains, each event once."""
    target = tmp_path / "delivered.json"
    stream = _job(tmp_path, server, "file", f"file_path = {target}")
    events = numbered_events(0, 40_000)
    server.publish(events)
    with stream.running() as process:
        stream.wait_until(process, lambda: len(numbers_in(target)) > 0, "some events")
        stream.drain(process)
    with stream.running() as process:
        stream.wait_until(process, lambda: len(set(numbers_in(target))) == len(events), "all events")
        stream.drain(process)
    assert sorted(numbers_in(target)) == list(range(len(events)))
    assert server.left() == []


def test_bad_messages(tmp_path: Path, server: PubSubServer) -> None:
    """They are in the rejects with their ids and attributes, the good lines among them are delivered, none is left."""
    target = tmp_path / "delivered.json"
    stream = _job(tmp_path, server, "file", f"file_path = {target}")
    events = numbered_events(0, 300)
    server.publish(events[:150], kind="good")
    bad_ids = server.publish(_BAD, kind="bad", host="mail1")
    server.publish([b"\n".join(events[150:200]), *events[200:]], kind="good")
    with stream.running() as process:
        stream.wait_until(process, lambda: len(numbers_in(target)) == 300, "all events")
        stream.wait_until(process, lambda: stream.rejected().count(b"\n") == len(_BAD), "all rejects")
        stream.drain(process)
    rejects = [json.loads(line) for line in stream.rejected().splitlines()]
    attributes = [{each["key"]: each["value"] for each in reject["attributes"]} for reject in rejects]
    assert sorted(each["message_id"] for each in attributes) == sorted(bad_ids)
    assert {each["kind"] for each in attributes} == {"bad"}
    assert {each["host"] for each in attributes} == {"mail1"}
    assert {reject["sourceUri"] for reject in rejects} == {SUBSCRIPTION}
    assert target.read_bytes().count(b"\n") == 301  # the one good line of a bad message
    assert server.left() == []


def test_an_exporter_that_hangs(tmp_path: Path, server: PubSubServer) -> None:
    """With --state messages are acknowledged when they are in the queues; rejects of a later start know their message."""
    target = tmp_path / "delivered.json"
    source = ["--input_subscription", SUBSCRIPTION, "--state", "state"]
    stream = StreamJob(tmp_path, "drop", source=source, environment=server.environment)
    ids = server.publish(numbered_events(0, 100), host="mail1")
    with fault_server(tmp_path, {"action": "never"}) as endpoint:
        write_config(
            tmp_path,
            exporter("other", "http-post", "json", f"http_post_url = {endpoint.url}", *_PATIENT),
            exporter("file", "file", "json", f"file_path = {target}"),
            *(metric(f"m{name}", "event=fault_test", name) for name in ("other", "file")),
        )
        with stream.running() as process:
            stream.wait_until(process, lambda: len(numbers_in(target)) == 100, "all events at the other")
            stream.wait_until(process, lambda: bool(endpoint.seen()), "a request")
            stream.drain(process)
        assert server.left() == []
        endpoint.behave({"status": 422})
        with stream.running() as process:
            stream.wait_until(process, lambda: stream.rejected().count(b"\n") == 100, "the rejects")
            stream.drain(process)
    rejects = [json.loads(line) for line in stream.rejected().splitlines()]
    attributes = [{each["key"]: each["value"] for each in reject["attributes"]} for reject in rejects]
    assert sorted(each["message_id"] for each in attributes) == sorted(ids)
    assert {each["host"] for each in attributes} == {"mail1"}
    assert len(numbers_in(target)) == 100


def test_target_that_cannot_be_written(tmp_path: Path, server: PubSubServer) -> None:
    """Nothing is acknowledged that was not delivered: the job fails, and the next one gets every message."""
    target = tmp_path / "missing" / "delivered.json"
    stream = _job(tmp_path, server, "file", f"file_path = {tmp_path / 'delivered.json'}")
    (tmp_path / "delivered.json").mkdir()
    events = numbered_events(0, 500)
    server.publish(events)
    with stream.running() as process:
        _, told = process.communicate(timeout=HANG_SECS)
    assert process.returncode in (1, 78), told
    target.parent.mkdir()
    stream.configure("file", f"file_path = {target}")
    with stream.running() as process:
        stream.wait_until(process, lambda: len(set(numbers_in(target))) == 500, "all events")
        stream.drain(process)
    assert server.left() == []


def test_subscription_that_is_missing(tmp_path: Path, server: PubSubServer) -> None:
    """The job ends with what to do about it, at once."""
    source = ["--input_subscription", f"{SUBSCRIPTION}-of-nobody"]
    stream = StreamJob(tmp_path, "drop", source=source, environment=server.environment)
    with stream.running() as process:
        _, told = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 1
    assert f"{SUBSCRIPTION}-of-nobody" in told
    assert "create it" in told
