"""`PullFromPubSub` in pipelines: what is delivered is acknowledged, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from dovebeam.pipelines.running.in_process import make_in_process_runner
from dovebeam.transforms.read_from_streams import PullFromPubSub, Segment
from dovebeam.transforms.sources.pubsub import PullLimits, SubscribeRequest, close_session
from support.servers.pubsub_server import SUBSCRIPTION, PubSubServer, pubsub_server

DELIVERED: list[bytes] = []
"""What `_DeliverFn` delivered; the in-process runner's workers are threads of this process."""

REQUEST = SubscribeRequest(SUBSCRIPTION, PullLimits(wait_secs=0.6))


class _DeliverFn(beam.DoFn):
    """Delivers at the end of a bundle, as real drivers may; fails there if it should."""

    def __init__(self, fails: bool) -> None:
        self._fails = fails

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []

    def process(self, block) -> None:
        self._lines += block.data.splitlines()

    def finish_bundle(self) -> None:
        if self._fails and self._lines:
            raise ValueError("the target is down")
        DELIVERED.extend(self._lines)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubServer]:
    """Google's server, to which this process's clients are led."""
    DELIVERED.clear()
    with pubsub_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started
        close_session(REQUEST)


def run(segment: Segment, *, fails: bool = False) -> None:
    """One pipeline of a stream."""
    options = PipelineOptions([])
    pipeline = beam.Pipeline(runner=make_in_process_runner(options), options=options)
    _ = pipeline | PullFromPubSub(REQUEST, segment) | beam.ParDo(_DeliverFn(fails))
    assert pipeline.run().wait_until_finish() == "DONE"


def test_segments(server: PubSubServer) -> None:
    """Each goes on where the one before ended."""
    server.publish([b"{1}", b"{2}"])
    run(Segment(0, max_pieces=1))
    assert sorted(DELIVERED) == [b"{1}", b"{2}"]
    server.publish([b"{3}"])
    run(Segment(100, max_pieces=2))
    close_session(REQUEST)
    assert sorted(DELIVERED) == [b"{1}", b"{2}", b"{3}"]
    assert server.left() == []


def test_bundle_that_fails(server: PubSubServer) -> None:
    """Nothing of it is acknowledged, and the next pipeline of the process gets it without waiting for a deadline."""
    server.publish([b"{1}", b"{2}"])
    with pytest.raises(Exception, match="the target is down"):
        run(Segment(0, max_pieces=5), fails=True)
    assert DELIVERED == []
    run(Segment(100, max_pieces=1))
    assert sorted(DELIVERED) == [b"{1}", b"{2}"]
    close_session(REQUEST)
    assert server.left() == []


def test_job_that_fails(server: PubSubServer) -> None:
    """When a process gives up, all that it held is for others at once."""
    server.publish([b"{1}"])
    with pytest.raises(Exception, match="the target is down"):
        run(Segment(0, max_pieces=5), fails=True)
    close_session(REQUEST)
    assert server.left() == [b"{1}"]
