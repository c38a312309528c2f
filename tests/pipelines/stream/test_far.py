"""`dovebeam stream` on a runner elsewhere: what it refuses, and the graph that is handed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.common_urns import composites

from dovebeam.pipelines.stream.stream_job import _message
from dovebeam.transforms.events.reject import make_reject, reject_from_json
from support.jobs.commands import Ran, dovebeam, exporter, metric, write_config
from support.jobs.far_runner import TranslatingRunner

SUBSCRIPTION = "projects/project/subscriptions/events"
TOPIC = "projects/project/topics/events"
REJECTS = "projects/project/topics/rejects"


def stream(folder: Path, *options: str, rejects: str = REJECTS) -> Ran:
    """The command, on a runner that only translates."""
    config = write_config(folder, exporter("x", "drop"), metric("all", "event=*", "x"))
    far = "--runner=support.jobs.far_runner.TranslatingRunner"
    return dovebeam("stream", "--config", config, *options, "--rejects", rejects, far)


@pytest.mark.parametrize(("option", "name"), [("subscription", SUBSCRIPTION), ("topic", TOPIC)])
def test_graph(tmp_path: Path, option: str, name: str) -> None:
    """A streaming job that reads by the runner's own source; the command names it and does not wait."""
    ran = stream(tmp_path, f"--input_{option}", name)
    assert (ran.code, ran.err) == (0, "dovebeam: job job-17 is running\n")
    graph, streaming = TranslatingRunner.graphs.pop()
    assert streaming
    steps = graph.components.transforms.values()
    (read,) = [each.spec.payload for each in steps if each.spec.urn == composites.PUBSUB_READ.urn]
    assert getattr(beam_runner_api_pb2.PubSubReadPayload.FromString(read), option) == name
    names = {each.unique_name for each in steps}
    assert {"Export/Match and format", "Export/Deliver to x/Deliver", "Rejects/Publish"} <= names


def test_graph_of_shards(tmp_path: Path) -> None:
    """Files are made window by window, and what is late makes further panes and is never dropped."""
    settings = "file_path = gs://bucket/events.json", "file_writing = shards", "file_rotate_interval = 1 h"
    config = write_config(tmp_path, exporter("x", "file", "json", *settings), metric("all", "event=*", "x"))
    far = "--runner=support.jobs.far_runner.TranslatingRunner"
    ran = dovebeam("stream", "--config", config, "--input_topic", TOPIC, "--rejects", REJECTS, far)
    assert ran.code == 0, ran.err
    graph, _ = TranslatingRunner.graphs.pop()
    components = graph.components
    (panes,) = [each for each in components.transforms.values() if each.unique_name.endswith("In windows/Panes")]
    (output,) = panes.outputs.values()
    windowing = components.windowing_strategies[components.pcollections[output].windowing_strategy_id]
    assert windowing.window_fn.urn == common_urns.fixed_windows.urn
    assert windowing.trigger.after_end_of_window.HasField("late_firings")
    assert windowing.accumulation_mode == beam_runner_api_pb2.AccumulationMode.DISCARDING
    assert windowing.allowed_lateness > 100 * 365 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("options", "rejects", "code", "text"),
    [
        (["--follow", "x", "--state", "s"], REJECTS, 2, "--follow reads files of this machine"),
        (["--input_topic", TOPIC], "rejects.jsonl", 2, "is a Pub/Sub topic, as projects/PROJECT/topics/NAME"),
        (["--input_topic", TOPIC], "gs://bucket/rejects", 2, "is a Pub/Sub topic, as projects/PROJECT/topics/NAME"),
        (["--input_topic", TOPIC], TOPIC, 2, "every reject would come back"),
        (["--input_topic", TOPIC], SUBSCRIPTION, 1, f"{SUBSCRIPTION}: is not a topic"),
        (["--input_topic", TOPIC, "--ledger", "l.json"], REJECTS, 2, "--ledger is a file of this machine"),
        (["--input_topic", SUBSCRIPTION], REJECTS, 1, "give it as --input_subscription"),
        (["--input_topic", TOPIC, "--state", "s"], REJECTS, 2, "--state and --max_queue_bytes are for this machine"),
        (["--input_topic", TOPIC, "--max_queue_bytes", "1M"], REJECTS, 2, "are for this machine"),
        (["--input_topic", TOPIC, "--input_format", "json"], REJECTS, 2, "--input_format is for --follow"),
        (["--input_topic", TOPIC, "--input_subscription", "s"], REJECTS, 2, "are two sources"),
    ],
)
def test_refused(tmp_path: Path, options: list[str], rejects: str, code: int, text: str) -> None:
    """What means nothing there is said at launch."""
    ran = stream(tmp_path, *options, rejects=rejects)
    assert ran.code == code, ran.err
    assert text in ran.err
    assert TranslatingRunner.graphs == []


def test_message_of_a_reject() -> None:
    """Its data is the whole record; attributes are those of Google's dead-letter topics, within their limits."""
    reject = make_reject("deliver", b"x", "é" * 1500, exporter="x", source_uri=SUBSCRIPTION, attributes=[("a", "b")])
    message = _message(reject)
    assert reject_from_json(message.data) == reject
    assert json.loads(message.data)["attributes"] == [{"key": "a", "value": "b"}]
    assert message.attributes == {
        "errorMessage": "é" * 512,
        "timestamp": reject.timestamp,
        "stage": "deliver",
        "exporter": "x",
    }
