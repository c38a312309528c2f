"""From options and a configuration to Beam's graph: Read, Export, Rejects."""

import hashlib
from collections.abc import Mapping

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from dovebeam.pipelines.options import ExportOptions
from dovebeam.pipelines.reject_handler import FusedErrorHandler
from dovebeam.pipelines.rejects import CountRejects, WriteRejects, is_local
from dovebeam.pipelines.run_id import run_id_of
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.export import ExportEvents
from dovebeam.transforms.plan import TimeRange
from dovebeam.transforms.reading import ReadBlocks, match_files
from dovebeam.transforms.resend import ResendRejects
from dovebeam.transforms.resending import max_record_bytes

__all__ = ["build_export"]


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
    consumer = WriteRejects(options.rejects) if options.rejects else CountRejects()
    if options.input_format == "rejects":
        _build_resend(pipeline, options, config, drivers, consumer)
        return
    read = ReadBlocks(list(options.input), input_format=options.input_format, max_line_bytes=options.max_line_bytes)
    export = ExportEvents(
        config,
        time_range=TimeRange(options.start_time, options.end_time),
        drivers=drivers,
        max_line_bytes=options.max_line_bytes,
        run_id=run_id_of(options, config),
    )
    with _error_handler(options, consumer) as handler:
        _ = pipeline | "Read" >> read | "Export" >> export.with_error_handler(handler)


def _build_resend(
    pipeline: beam.Pipeline,
    options: ExportOptions,
    config: Config,
    drivers: Mapping[str, Driver] | None,
    consumer: beam.PTransform,
) -> None:
    longest = max_record_bytes(options.max_line_bytes)
    read = ReadBlocks(list(options.input), input_format="rejects", max_line_bytes=longest)
    resend = ResendRejects(
        config,
        drivers=drivers,
        max_attempts=options.max_attempts,
        max_line_bytes=options.max_line_bytes,
        run_id=options.run_id or _resend_run_id(options, config),
    )
    with _error_handler(options, consumer) as handler:
        _ = pipeline | "Read" >> read | "Resend" >> resend.with_error_handler(handler)


def _resend_run_id(options: ExportOptions, config: Config) -> str:
    """Other rejects under the same pattern are another job, which must not replace the files of the one before."""
    files = [f"{file.uri} {file.size}" for file in match_files(options.input)]
    return hashlib.sha256(
        "\n".join([run_id_of(options, config), *files]).encode("utf-8", "surrogateescape")
    ).hexdigest()[:12]


def _error_handler(options: ExportOptions, consumer: beam.PTransform) -> ErrorHandler:
    if options.rejects is not None and not is_local(options.rejects):
        return ErrorHandler("Rejects" >> consumer)  # one object takes them all
    return FusedErrorHandler("Rejects", consumer)
