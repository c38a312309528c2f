"""A subscription on engines that others wrote: delivered, acknowledged when the engine says so, drained."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from support.jobs.engines import WAYS, WITHOUT_PROCESSES
from support.jobs.stream_job import StreamJob, numbered_events, numbers_in
from support.programs import HANG_SECS, wait_until
from support.servers.pubsub_server import SUBSCRIPTION, pubsub_server


@pytest.mark.parametrize("way", WITHOUT_PROCESSES)
def test_subscription(tmp_path: Path, way: str) -> None:
    """Each event once, a bad message in the rejects with its id, and nothing left to be delivered again."""
    target, options = tmp_path / "out.json", WAYS[way](tmp_path)
    events = numbered_events(0, 2_000)
    with pubsub_server() as server:
        source = ["--input_subscription", SUBSCRIPTION, *options]
        stream = StreamJob(tmp_path, "file", f"file_path = {target}", source=source, environment=server.environment)
        (bad,) = server.publish([b"bad"])
        server.publish(events[:1_000])
        with stream.running() as process:
            stream.wait_until(process, lambda: len(numbers_in(target)) == 1_000, "the first events")
            server.publish(events[1_000:])
            stream.wait_until(process, lambda: len(numbers_in(target)) == 2_000, "all events")
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=HANG_SECS)
        assert process.returncode == 0, told
        wait_until(lambda: server.left() == [], "everything to be acknowledged")
    assert sorted(numbers_in(target)) == list(range(2_000))
    (reject,) = map(json.loads, stream.rejected().splitlines())
    assert {"key": "message_id", "value": bad} in reject["attributes"]
