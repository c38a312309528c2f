"""Hands a stream to a runner elsewhere, such as Dataflow: Pub/Sub in, rejects to a Pub/Sub topic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, WriteToPubSub
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from dovebeam.pipelines.jobs.reject_sink import CountRejects, FusedErrorHandler
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.running.launch import launch_far
from dovebeam.pipelines.stream.options import DEFAULT_MAX_QUEUE_BYTES, StreamOptions
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.events.reject import Reject, reject_to_json
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.sources.pubsub import check_topic
from dovebeam.transforms.streaming.native import ReadFromPubSub

__all__ = ["PublishRejects", "build_far_stream", "check_far_stream", "run_far"]

_MAX_ATTRIBUTE_BYTES = 1024
"""Pub/Sub's limit for the value of an attribute."""


def check_far_stream(options: StreamOptions) -> None:
    """Refuses what means nothing where the stream would run.

    Raises:
        UsageError: files of this machine.
        SourceError: a topic for rejects that is none.
    """
    if options.follow:
        raise UsageError("--follow reads files of this machine, but the job would run elsewhere; leave --runner out")
    if options.state or options.max_queue_bytes != DEFAULT_MAX_QUEUE_BYTES:
        raise UsageError(
            "--state and --max_queue_bytes are about this machine, but the job runs elsewhere; leave them out"
        )
    if options.ledger is not None:
        raise UsageError(
            "--ledger is a file of this machine, but the job runs elsewhere and without an end; its counters are with "
            "the runner, in the namespace dovebeam"
        )
    if not options.rejects.startswith("projects/"):
        raise UsageError(
            "--rejects of a stream that runs elsewhere is a Pub/Sub topic, as projects/PROJECT/topics/NAME; an object "
            "would only be written at its end"
        )
    check_topic(options.rejects)
    if options.rejects == options.input_topic:
        raise UsageError("--rejects is the topic that is read; every reject would come back")


def run_far(
    options: StreamOptions, config: Config, drivers: Mapping[str, Driver], beam_options: PipelineOptions
) -> int:
    """Hands the stream over, and returns the exit code without waiting for an end that it does not have.

    Args:
        options: of the stream; checked by `check_far_stream`.
        config: its metrics and exporters.
        drivers: those of its exporters.
        beam_options: where it runs.
    """
    beam_options.view_as(StandardOptions).streaming = True
    build = partial(build_far_stream, options=options, config=config, drivers=drivers)
    launch_far(build, beam_options, wait=False)
    return ExitCode.DONE


def build_far_stream(
    pipeline: beam.Pipeline, options: StreamOptions, config: Config, drivers: Mapping[str, Driver]
) -> None:
    """Adds the steps of a stream to a pipeline.

    Args:
        pipeline: an empty pipeline.
        options: of the stream.
        config: its metrics and exporters.
        drivers: those of its exporters.
    """
    source = ReadFromPubSub(subscription=options.input_subscription, topic=options.input_topic)
    export = ExportEvents(config, drivers=drivers, max_line_bytes=options.max_line_bytes, run_id=options.run_id)
    with FusedErrorHandler("Rejects", PublishRejects(options.rejects)) as handler:
        _ = pipeline | "Read" >> source | "Export" >> export.with_error_handler(handler)


@beam.typehints.with_input_types(Reject)
class PublishRejects(beam.PTransform):
    """Publishes rejects to a topic, each as its JSON, with the attributes of Google's own dead-letter topics.

    These are `errorMessage` and `timestamp`; ours are `stage` and `exporter`.

    Args:
        topic: its full name.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, rejects: Any) -> Any:
        """Rejects to nothing."""
        messages = rejects | CountRejects() | "To messages" >> beam.Map(_message).with_output_types(PubsubMessage)
        return messages | "Publish" >> WriteToPubSub(self._topic, with_attributes=True)


def _message(reject: Reject) -> PubsubMessage:
    message = reject.error_message.encode("utf-8", "replace")[:_MAX_ATTRIBUTE_BYTES]
    attributes = {
        "errorMessage": message.decode("utf-8", "ignore"),
        "timestamp": reject.timestamp,
        "stage": reject.stage,
        "exporter": reject.exporter,
    }
    return PubsubMessage(reject_to_json(reject), {name: value for name, value in attributes.items() if value})
