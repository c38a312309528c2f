"""From options and a configuration to Beam's graph: Read, Export, Rejects."""

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.jobs.reject_sink import reject_handler
from dovebeam.pipelines.jobs.run_id import run_id_of_input
from dovebeam.pipelines.options.beam import workers_of
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.plan.resend_plan import max_record_bytes
from dovebeam.transforms.reading import ReadFromFiles
from dovebeam.transforms.resend_rejects import ResendRejects
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES
from dovebeam.transforms.throttle_blocks import ThrottleBlocks, block_bytes_for
from dovebeam.transforms.time_range import TimeRange

__all__ = ["build_export", "read_blocks"]


def build_export(
    pipeline: beam.Pipeline, options: ExportOptions, config: Config, drivers: Mapping[str, Driver] | None = None
) -> None:
    """Adds the steps of an export to a pipeline.

    Args:
        pipeline: an empty pipeline.
        options: what to read, and where rejects go.
        config: the metrics and exporters.
        drivers: take the place of those of exporters, by name.

    Raises:
        SourceError: a pattern matches nothing.
        DriverSettingError: an exporter that can never deliver.
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
        if options.rate is not None:
            blocks = blocks | "Throttle" >> ThrottleBlocks(options.rate / workers_of(pipeline.options))
        _ = blocks | "Export" >> export.with_error_handler(handler)


def read_blocks(pipeline: beam.Pipeline, options: ExportOptions) -> Any:
    """The input's blocks, small ones if few events a second are wanted.

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
    """The name that was given, or else a hash of what decides what is written.

    Raises:
        SourceError: a pattern matches nothing.
    """
    return options.run_id or run_id_of_input(
        config,
        options.input,
        input_format=options.input_format,
        max_line_bytes=options.max_line_bytes,
        time_range=TimeRange(options.start_time, options.end_time),
    )
