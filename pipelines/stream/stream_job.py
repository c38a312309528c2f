"""The job `stream`: checked, run on this machine until it is drained or fails, or submitted to a remote runner.

Ctrl-C or SIGTERM drains it: what was read is delivered, and the job ends with code 0. A second signal ends it at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, WriteToPubSub
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.jobs.drivers import make_drivers
from dovebeam.pipelines.jobs.outputs import check_rejects_path, check_replaceable
from dovebeam.pipelines.jobs.reject_sink import CountRejects, FusedErrorHandler, reject_handler
from dovebeam.pipelines.ledger.closing import counters_of, counters_so_far, report_failure
from dovebeam.pipelines.options.beam import is_in_process, is_local_job, make_beam_options, stream_arguments
from dovebeam.pipelines.running.in_process import (
    WatchedDisplay,
    loopback_workers,
    make_in_process_runner,
    secrets_shared_with_workers,
)
from dovebeam.pipelines.running.launch import cancelled_on_error, launch_far, wait_until_drained
from dovebeam.pipelines.running.local import explain_failure, run_to_end
from dovebeam.pipelines.stream.account import Acknowledged, StreamAccount, run_segments
from dovebeam.pipelines.stream.options import DEFAULT_MAX_QUEUE_BYTES, StreamOptions
from dovebeam.pipelines.stream.queues import StreamQueues, queues_of
from dovebeam.pipelines.stream.shards import StreamShards, stream_name
from dovebeam.pipelines.stream.sources import StreamSource, make_source
from dovebeam.pipelines.terminal.exit_codes import ExitCode, UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.progress_bar import make_display
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.file.names import insert_mark
from dovebeam.transforms.events.reject import Reject, reject_to_json
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.progress import JobMonitor, Totals
from dovebeam.transforms.read_from_streams import ENDLESS, ReadFromPubSub, Segment
from dovebeam.transforms.shards.spool import time_mark
from dovebeam.transforms.sources.pubsub import check_topic

__all__ = ["run_stream"]


_MAX_ATTRIBUTE_BYTES = 1024
"""Pub/Sub's limit for the value of an attribute."""


def check_far_stream(options: StreamOptions) -> None:
    """Refuses options that a remote stream cannot have.

    Raises:
        UsageError: files of this machine.
        SourceError: the name of the topic for rejects is not valid.
    """
    if options.follow:
        raise UsageError("--follow reads files of this machine, but the job would be remote; leave --runner out")
    if options.state or options.max_queue_bytes != DEFAULT_MAX_QUEUE_BYTES:
        raise UsageError("--state and --max_queue_bytes are for this machine, but the job is remote; leave them out")
    if options.ledger is not None:
        raise UsageError(
            "--ledger is a file of this machine, but the job is remote and has no end; its counters are with the "
            "runner, in the namespace dovebeam"
        )
    if not options.rejects.startswith("projects/"):
        raise UsageError(
            "--rejects of a remote stream is a Pub/Sub topic, as projects/PROJECT/topics/NAME; an object would only be "
            "written at its end"
        )
    check_topic(options.rejects)
    if options.rejects == options.input_topic:
        raise UsageError("--rejects is the topic that is read; every reject would come back")


def run_far(
    options: StreamOptions, config: Config, drivers: Mapping[str, Driver], beam_options: PipelineOptions
) -> int:
    """Submits a remote stream, and returns the exit code without waiting, since a stream has no end.

    Args:
        options: of the stream; checked by `check_far_stream`.
        config: its metrics and exporters.
        drivers: of its exporters.
        beam_options: of Beam, with the runner.
    """
    beam_options.view_as(StandardOptions).streaming = True
    build = partial(build_far_stream, options=options, config=config, drivers=drivers)
    launch_far(build, beam_options, wait=False)
    return ExitCode.DONE


def build_far_stream(
    pipeline: beam.Pipeline, options: StreamOptions, config: Config, drivers: Mapping[str, Driver]
) -> None:
    """Adds the steps of a remote stream to a pipeline.

    Args:
        pipeline: an empty pipeline.
        options: of the stream.
        config: its metrics and exporters.
        drivers: of its exporters.
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
    # The limit is in bytes, and Pub/Sub refuses the whole message beyond it.
    message = reject.error_message.encode("utf-8", "replace")[:_MAX_ATTRIBUTE_BYTES]
    attributes = {
        "errorMessage": message.decode("utf-8", "ignore"),
        "timestamp": reject.timestamp,
        "stage": reject.stage,
        "exporter": reject.exporter,
    }
    return PubsubMessage(reject_to_json(reject), {name: value for name, value in attributes.items() if value})


_Counts = list[tuple[str, int]]


def run_stream(options: StreamOptions, config: Config) -> int:
    """Runs a stream until a signal ends it, and returns its exit code.

    Args:
        options: what the stream does.
        config: what the files say that the options name.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    beam_options = make_beam_options(stream_arguments(options.beam))
    local = is_local_job(beam_options)
    try:
        if not local:
            check_far_stream(options)
        drivers = make_drivers(config, local=local)
        if drivers is None or _shards_without_windows(config, drivers):
            return ExitCode.CONFIG
        run = _run_local if local else run_far
        return run(options, config, drivers, beam_options)
    except UsageError:
        raise
    except Exception as error:
        return report_failure(error, config, debug=options.debug)


def _shards_without_windows(config: Config, drivers: Mapping[str, Driver]) -> bool:
    """Prints an error for every exporter with shards without a window, since its files would never be complete."""
    found = False
    for name, driver in drivers.items():
        if isinstance(driver, FileDriver) and driver.file_writing == "shards" and not driver.rotate_interval_secs:
            found = True
            exporter = config.exporters[name]
            say(
                f"error: {exporter.settings.place('event_exporter_file_writing')}: event_exporter {name}: shards are "
                "complete when a job ends, and a stream has no end; add file_rotate_interval, such as 1 h, for files "
                "that are complete when each such interval is over"
            )
    return found


def _run_local(
    options: StreamOptions, config: Config, drivers: Mapping[str, Driver], beam_options: PipelineOptions
) -> int:
    """Runs a stream on this machine until it is drained or fails, and returns its exit code.

    Args:
        options: of the stream.
        config: its metrics and exporters.
        drivers: of its exporters.
        beam_options: of Beam, with the runner.

    Raises:
        UsageError: options that contradict each other.
        Exception: the failure of a stream that could not start.
    """
    _check_workers(beam_options)
    source = make_source(options)
    _check_outputs(options, source, drivers)
    run = _run_in_process if is_in_process(beam_options) else _run_on_engine
    root = queues_of(options.state, drivers)
    name = options.run_id or stream_name(
        options.follow, options.input_subscription, options.input_topic, rejects=options.rejects
    )
    shards = StreamShards(drivers, name, has_queues=bool(root))
    queues = StreamQueues(
        root, config, shards.drivers, shards.checks, rejects=options.rejects, max_bytes=options.max_queue_bytes
    )
    if len(drivers) > 1 and not root:
        say("note: an exporter whose target hangs keeps events from the others; --state DIR gives each a queue on disk")
    account = StreamAccount(config, drivers, queues, path=options.ledger, debug=options.debug)
    try:
        with source, secrets_shared_with_workers(drivers, beam_options):
            counters = run(_Stream(options, config, shards, queues, source, account), beam_options)
    except UsageError:
        raise
    except Exception as error:
        return account.close_failed(error)
    return ExitCode.DONE if counters is None else account.close(counters)


def build_stream(
    pipeline: beam.Pipeline,
    options: StreamOptions,
    config: Config,
    drivers: Mapping[str, Driver],
    source: beam.PTransform,
    *,
    queues: str = "",
) -> None:
    """Adds the steps of a stream to a pipeline.

    Args:
        pipeline: an empty pipeline.
        options: of the stream.
        config: its metrics and exporters.
        drivers: of its exporters.
        source: gives blocks, and acknowledges them when their bundle has succeeded. All steps up to the deliveries and
            the rejects are in that bundle.
        queues: directory of the exporters' queues, which then replace the deliveries; empty for none.
    """
    export = ExportEvents(config, drivers=drivers, max_line_bytes=options.max_line_bytes, queues=queues)
    with reject_handler(options.rejects) as handler:
        _ = pipeline | "Read" >> source | "Export" >> export.with_error_handler(handler)


@dataclass(frozen=True, slots=True)
class _Stream:
    """The parts of a stream on this machine."""

    options: StreamOptions
    config: Config
    shards: StreamShards
    queues: StreamQueues
    source: StreamSource
    account: StreamAccount

    def pipeline(self, pipeline: beam.Pipeline, segment: Segment) -> beam.Pipeline:
        """Adds the steps of a segment to a pipeline and returns it."""
        blocks, drivers = self.source.blocks(segment), self.shards.drivers
        build_stream(pipeline, self.options, self.config, drivers, blocks, queues=self.queues.root)
        return pipeline


def _run_in_process(stream: _Stream, beam_options: PipelineOptions) -> _Counts:
    options, config, queues, acknowledged = stream.options, stream.config, stream.queues, Acknowledged()

    def run(segment: Segment) -> PipelineResult:
        queues.clean()
        runner = make_in_process_runner(beam_options, debug=options.debug)
        return stream.pipeline(beam.Pipeline(runner=runner, options=beam_options), segment).run()

    def report(error: Exception, pause_secs: float) -> None:
        say(f"{explain_failure(error, config)}; nothing is lost, trying again in {pause_secs:.0f} s")

    def work() -> _Counts:
        queues.deliver()
        counters = run_segments(run, stream.account.update, report, lambda: monitor.totals().delivered, acknowledged)
        queues.finish()
        return stream.account.with_queues(counters.items())

    # In this order: at the end the queues stop delivering before the shards that they deliver into are finished.
    with (
        JobMonitor() as monitor,
        stream.shards.made(monitor.drain),
        queues.worked(),
        make_display(lambda: None) as display,
    ):
        stream.account.begin(lambda: acknowledged.so_far().items())
        return run_to_end(work, monitor, display, drain=True)


def _run_on_engine(stream: _Stream, beam_options: PipelineOptions) -> _Counts | None:
    """Runs one endless pipeline, whose failed bundles the engine retries; returns its counters if it has them."""
    beam_options.view_as(StandardOptions).streaming = True
    options, queues = stream.options, stream.queues
    with (
        JobMonitor() as monitor,
        stream.shards.made(monitor.drain),
        queues.worked(),
        loopback_workers(beam_options, debug=options.debug),
    ):
        stream.account.begin(lambda: counters_so_far(monitor))
        result = stream.pipeline(beam.Pipeline(options=beam_options), ENDLESS).run()
        with cancelled_on_error(result), make_display(lambda: None) as display:
            watched = WatchedDisplay(display, monitor, launcher_counts=bool(queues.root))

            def work() -> bool:
                queues.deliver()
                is_ended = wait_until_drained(result, monitor)
                queues.finish()
                return is_ended

            ended = run_to_end(work, monitor, watched, drain=True)
        if not ended:
            say(f"the stream is drained: {_account(monitor.totals())}")
            if options.ledger:
                say(f"warning: --ledger {options.ledger} was not written")
            return None
        return stream.account.with_queues(counters_of(result))


def _account(totals: Totals) -> str:
    return (
        f"{totals.events:,} events were read, {totals.delivered:,} payloads delivered and {totals.rejected:,} "
        "rejected, as the workers counted; the engine has no ledger of a stream that it did not end itself"
    )


def _check_workers(beam_options: PipelineOptions) -> None:
    # With several workers Beam's runner forgets what a splittable DoFn left for later, and the job would end as done.
    direct = beam_options.view_as(DirectOptions)
    if is_in_process(beam_options) and (direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory"):
        raise UsageError(
            "a stream is read by one worker, and Beam's in-process runner forgets what several have not finished; "
            "leave out --direct_num_workers and --direct_running_mode"
        )


def _check_outputs(options: StreamOptions, source: StreamSource, drivers: Mapping[str, Driver]) -> None:
    """Refuses outputs that cannot be written, or that the stream would read again."""
    if is_url(options.rejects):
        raise UsageError(
            "--rejects of a stream names a file of this machine; an object would only be written at its end"
        )
    check_rejects_path(options.rejects)
    written = {"--rejects": options.rejects}
    if options.ledger is not None:
        check_replaceable(options.ledger)
        written["--ledger"] = options.ledger
    for name, driver in drivers.items():
        if isinstance(driver, FileDriver) and not is_url(driver.base):
            written[f"event_exporter {name}"] = _written_path(driver)
    for what, path in written.items():
        source.check_apart(what, os.path.abspath(path))


def _written_path(driver: FileDriver) -> str:
    """A path as the driver may write it, for the comparison with followed patterns."""
    mark = f"-{time_mark(0)}" if driver.rotate_interval_secs else ""
    return os.path.join(driver.base, insert_mark(driver.file_path_template or driver.default_path, mark))
