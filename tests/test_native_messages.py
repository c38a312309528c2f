"""`ReadFromPubSub`: the graph that a runner with its own Pub/Sub source gets, and the blocks that it makes."""

from __future__ import annotations

import datetime as dt

import apache_beam as beam
import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.common_urns import composites
from apache_beam.testing.util import assert_that, equal_to

from dovebeam.pipelines.running.in_process import make_in_process_runner
from dovebeam.transforms.read_from_streams import ReadFromPubSub, _block
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.sources.pubsub import Pulled, blocks_of

SUBSCRIPTION = "projects/project/subscriptions/events"


def test_graph() -> None:
    """The runner is told the subscription or the topic, and gives whole messages."""
    for arguments in ({"subscription": SUBSCRIPTION}, {"topic": "projects/project/topics/events"}):
        pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
        _ = pipeline | ReadFromPubSub(**arguments)
        proto = pipeline.to_runner_api()
        (read,) = [
            each.spec.payload
            for each in proto.components.transforms.values()
            if each.spec.urn == composites.PUBSUB_READ.urn
        ]
        payload = beam_runner_api_pb2.PubSubReadPayload.FromString(read)
        assert {"subscription": payload.subscription, "topic": payload.topic} == {
            "subscription": "",
            "topic": "",
            **arguments,
        }
        assert payload.with_attributes


def test_blocks_are_those_of_our_own_source() -> None:
    """A message is the same block, with the same place, whoever pulled it."""
    data, attributes = b'{"event":"x"}\nbad', {"host": "a"}
    time = dt.datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=dt.UTC)
    native = PubsubMessage(data, attributes, "17", time, "key")
    (ours,) = blocks_of([Pulled("ack", "17", data, 1_795_334_400_123_456, "key", (("host", "a"),))], SUBSCRIPTION)
    options = PipelineOptions([])
    with beam.Pipeline(runner=make_in_process_runner(options), options=options) as pipeline:
        blocks = pipeline | beam.Create([native]) | beam.Map(_block, SUBSCRIPTION)
        assert_that(blocks, equal_to([ours]))


def test_message_that_says_nothing_of_itself() -> None:
    """Older runners give neither id nor time."""
    block = _block(PubsubMessage(b"", {}), SUBSCRIPTION)
    assert (block.data, block.messages[0].message_id, block.messages[0].publish_time) == (b"\n", "", 0)


@pytest.mark.parametrize("arguments", [{}, {"subscription": SUBSCRIPTION, "topic": "projects/project/topics/topic"}])
def test_one_source(arguments: dict[str, str]) -> None:
    """A subscription or a topic."""
    with pytest.raises(SourceError, match="only one"):
        ReadFromPubSub(**arguments)
