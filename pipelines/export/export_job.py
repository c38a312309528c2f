"""The job `export`: checked, launched, and closed with its ledger; and the steps of its pipeline."""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.export.preview import Preview
from dovebeam.pipelines.jobs.configuration import run_id_of_input
from dovebeam.pipelines.jobs.drivers import make_drivers
from dovebeam.pipelines.jobs.outputs import check_far_outputs, check_outputs
from dovebeam.pipelines.jobs.readable_input import check_no_pipes, readable_input
from dovebeam.pipelines.jobs.reject_sink import reject_handler
from dovebeam.pipelines.ledger.closing import close_started, report_failure, unmatching_metrics_text
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.options.beam import is_local_job, make_beam_options, workers_of
from dovebeam.pipelines.running.in_process import secrets_shared_with_workers
from dovebeam.pipelines.running.launch import launch_far, launch_here
from dovebeam.pipelines.terminal.exit_codes import ExitCode, UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.local_files import TemporaryFolder
from dovebeam.transforms.plan.resend_plan import max_record_bytes
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.resend_rejects import ResendRejects
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES
from dovebeam.transforms.throttle_blocks import ThrottleBlocks, block_bytes_for

__all__ = ["build_export", "export_events", "read_blocks"]


def export_events(options: ExportOptions, config: Config) -> int:
    """Runs an export with a configuration that was read already; returns the exit code.

    Args:
        options: of the export.
        config: with the metrics and exporters to use; the files that the options name are not read.

    Raises:
        UsageError: options that Beam refuses, or that contradict each other.
    """
    beam_options = make_beam_options(options.beam)
    local = is_local_job(beam_options)
    if not local:
        _check_far(options)
    preview = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(stdout_kept_free(is_wanted=STDOUT in {options.ledger, options.preview}))
        try:
            # A preview makes no configured driver: their secrets and certificates need not exist on this machine.
            drivers = make_drivers(config, local=local) if options.preview is None else {}
            if drivers is None:
                return ExitCode.CONFIG
            readable = stack.enter_context(readable_input(options.input, options.names))
            options = dataclasses.replace(options, input=readable.patterns, names=readable.names)
            if options.preview is not None:
                folder = stack.enter_context(TemporaryFolder()) if options.preview == STDOUT else options.preview
                preview = Preview.plan(folder, config)
                drivers = dict(preview.drivers())
            check_outputs(drivers, read=options.input, rejects=options.rejects, ledger=options.ledger)
            # Only now, when all that can be checked was checked, an earlier preview is removed.
            if preview is not None:
                preview.claim()
            code = _launch(options, config, drivers, beam_options, local=local)
            if preview is not None and options.preview == STDOUT:
                preview.print()
        except UsageError:
            if preview is not None:
                preview.discard_empty()
            raise
        except Exception as error:
            code = report_failure(error, config, debug=options.debug)
        if preview is not None and code != ExitCode.DONE:
            preview.discard_empty()
    return code


def _check_far(options: ExportOptions) -> None:
    """Refuses paths of this machine for a remote job."""
    check_no_pipes(options.input)
    if options.preview is not None:
        raise UsageError("--preview writes files on this machine; leave --runner out to run the preview here")
    if options.rejects is not None and options.rejects.startswith("projects/"):
        raise UsageError("--rejects of a job that ends is an object, as gs://...; a topic is for `dovebeam stream`")
    check_far_outputs(options.rejects, options.ledger, wait=options.wait)


def _launch(
    options: ExportOptions,
    config: Config,
    drivers: Mapping[str, Driver],
    beam_options: PipelineOptions,
    *,
    local: bool,
) -> int:
    """Launches the job, and closes it with its ledger."""
    build = partial(build_export, options=options, config=config, drivers=drivers)
    targets = {name: driver.endpoint for name, driver in drivers.items()}

    def launch(monitor: JobMonitor) -> PipelineResult | None:
        if not local:
            return launch_far(build, beam_options, wait=options.wait)
        with secrets_shared_with_workers(drivers, beam_options):
            return launch_here(build, beam_options, monitor, patterns=options.input, debug=options.debug)

    def account(counters: Iterable[tuple[str, int]]) -> Ledger:
        return make_ledger(counters, config, targets, options.counted)

    def failed(error: Exception) -> int:
        return report_failure(error, config, debug=options.debug)

    code, ledger = close_started(launch, account, failed, options.ledger, are_rejects_kept=options.rejects is not None)
    # Rejects are not matched again, so metrics without a match mean nothing then.
    if ledger is not None and options.input_format != "rejects":
        names = dict(options.names)
        unmatched = unmatching_metrics_text(ledger, options.config, [names.get(path, path) for path in options.input])
        if unmatched:
            say(unmatched)
    return code


# The steps of the pipeline.


def build_export(
    pipeline: beam.Pipeline, options: ExportOptions, config: Config, drivers: Mapping[str, Driver] | None = None
) -> None:
    """Adds the steps of an export to a pipeline.

    Args:
        pipeline: an empty pipeline.
        options: of the export.
        config: its metrics and exporters.
        drivers: replace those of exporters, by name.

    Raises:
        SourceError: a pattern matches nothing.
        DriverSettingError: an exporter with invalid settings.
    """
    if options.input_format == "rejects":
        _build_resend(pipeline, options, config, drivers)
        return
    export = ExportEvents(
        config,
        time_range=TimeRange(options.start_time, options.end_time),
        drivers=drivers,
        max_line_bytes=options.max_line_bytes,
        run_id=_run_id(options, config),
    )
    with reject_handler(options.rejects) as handler:
        blocks = read_blocks(pipeline, options)
        # The rate is for all workers together, and each of them throttles by itself.
        if options.rate is not None:
            blocks = blocks | "Throttle" >> ThrottleBlocks(options.rate / workers_of(pipeline.options))
        _ = blocks | "Export" >> export.with_error_handler(handler)


def read_blocks(pipeline: beam.Pipeline, options: ExportOptions) -> Any:
    """Blocks of the input, small ones if a low rate is wanted.

    Raises:
        SourceError: a pattern matches nothing.
    """
    read = ReadFromFiles(
        list(options.input),
        input_format=options.input_format,
        max_line_bytes=options.max_line_bytes,
        block_bytes=DEFAULT_BLOCK_BYTES if options.rate is None else block_bytes_for(options.rate),
        expected=options.expected,
        names=dict(options.names),
    )
    return pipeline | "Read" >> read


def _build_resend(
    pipeline: beam.Pipeline,
    options: ExportOptions,
    config: Config,
    drivers: Mapping[str, Driver] | None,
) -> None:
    longest = max_record_bytes(options.max_line_bytes)
    read = ReadFromFiles(list(options.input), input_format="rejects", max_line_bytes=longest, names=dict(options.names))
    resend = ResendRejects(
        config,
        drivers=drivers,
        max_attempts=options.max_attempts,
        max_line_bytes=options.max_line_bytes,
        run_id=_run_id(options, config),
    )
    with reject_handler(options.rejects) as handler:
        _ = pipeline | "Read" >> read | "Resend" >> resend.with_error_handler(handler)


def _run_id(options: ExportOptions, config: Config) -> str:
    """The given name of the run, else a hash of all that decides its output.

    Raises:
        SourceError: a pattern matches nothing.
    """
    return options.run_id or run_id_of_input(
        config,
        options.input,
        input_format=options.input_format,
        max_line_bytes=options.max_line_bytes,
        time_range=TimeRange(options.start_time, options.end_time),
        find=match_files,
    )
