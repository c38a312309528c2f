"""`dovebeam stream --input_topic`: a subscription for as long as the stream runs, and longer if it was not drained."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jobs.stream_job import StreamJob, numbered_events, numbers_in
from support.programs import HANG_SECS, wait_until
from support.servers.pubsub_server import SUBSCRIPTION, TOPIC, PubSubServer, pubsub_server


@pytest.fixture
def server() -> Iterator[PubSubServer]:
    """Google's server, with a topic."""
    with pubsub_server() as started:
        yield started


def made_by(server: PubSubServer) -> list[str]:
    """The subscriptions beside that of the tests."""
    return [name for name in server.subscriptions() if name != SUBSCRIPTION]


def stream_of(server: PubSubServer, folder: Path, *source: str, driver: str = "file") -> StreamJob:
    """A stream into a file, or to a socket at which nobody listens."""
    folder.mkdir()
    setting = f"file_path = {folder / 'out.json'}" if driver == "file" else f"unix_path = {folder / 'none'}"
    return StreamJob(folder, driver, setting, source=source, environment=server.environment)


def test_drained(tmp_path: Path, server: PubSubServer) -> None:
    """It reads what is published while it runs, and leaves nothing behind."""
    stream = stream_of(server, tmp_path / "s", "--input_topic", TOPIC)
    events = numbered_events(0, 100)
    server.publish(events[:50])
    with stream.running() as process:
        stream.wait_until(process, lambda: made_by(server) != [], "the subscription")
        server.publish(events[50:])
        stream.wait_until(process, lambda: len(numbers_in(stream.folder / "out.json")) >= 50, "the events")
        stream.drain(process)
    assert sorted(numbers_in(stream.folder / "out.json")) == list(range(50, 100))
    assert made_by(server) == []


def test_killed(tmp_path: Path, server: PubSubServer) -> None:
    """Its subscription keeps what is published afterwards, for a stream that is told its name."""
    stream = stream_of(server, tmp_path / "s", "--input_topic", TOPIC)
    events = numbered_events(0, 100)
    with stream.running() as process:
        stream.wait_until(process, lambda: made_by(server) != [], "the subscription")
        server.publish(events[:50])
        stream.wait_until(process, lambda: len(numbers_in(stream.folder / "out.json")) >= 50, "the events")
        os.killpg(process.pid, signal.SIGKILL)
        _, told = process.communicate(timeout=HANG_SECS)
    server.publish(events[50:])
    (name,) = made_by(server)
    assert f"go on with --input_subscription {name}" in told
    again = stream_of(server, tmp_path / "again", "--input_subscription", name)
    with again.running() as process:
        again.wait_until(process, lambda: len(set(numbers_in(again.folder / "out.json"))) >= 50, "the events")
        again.drain(process)
    delivered = numbers_in(stream.folder / "out.json") + numbers_in(again.folder / "out.json")
    assert set(delivered) == set(range(100))
    assert made_by(server) == [name]


def test_failed(tmp_path: Path, server: PubSubServer) -> None:
    """A stream that ends by itself says which subscription has what it did not deliver, and gives that back at once."""
    stream = stream_of(server, tmp_path / "s", "--input_topic", TOPIC, driver="unix")
    with stream.running() as process:
        wait_until(lambda: made_by(server) != [], "the subscription")
        server.publish(numbered_events(0, 10))
        _, told = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 1, told
    (name,) = made_by(server)
    assert re.search(f"{name} holds what was not delivered; go on with --input_subscription {name}", told)
    response = server._subscriber.pull(subscription=name, max_messages=100)
    assert len(response.received_messages) == 10
