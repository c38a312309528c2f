"""The job `replay`: the files of an archive that may hold events of a time range, exported again.

A replay is an export: bounded, so nothing is ever late, with the same guarantees and the same ledger. The same command
has the same run id each time, and with it the same idempotency keys and the same file names.
"""

from __future__ import annotations

import dataclasses

from dovebeam.pipelines.export.export_job import export_events
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.jobs.configuration import failed_exporters, load_for_job
from dovebeam.pipelines.jobs.outputs import check_replaceable
from dovebeam.pipelines.jobs.readable_input import readable_input
from dovebeam.pipelines.jobs.run_id import run_id_of
from dovebeam.pipelines.ledger.closing import close_job, report_failure
from dovebeam.pipelines.ledger.ledger import make_ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.options.beam import make_beam_options
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.replay.dry_run import run_dry, show_dry
from dovebeam.pipelines.replay.options import ReplayOptions
from dovebeam.pipelines.replay.selection import select_input
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.transforms.config import Config
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.time_range import TimeRange

__all__ = ["run_replay"]


def run_replay(options: ReplayOptions) -> int:
    """Runs a replay and returns its exit code.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    export, only = options.export, options.only_exporter
    if options.only_failed is not None:
        only = failed_exporters(options.only_failed)
    config = load_for_job(export.config, strict=export.strict, only_exporter=only)
    if config is None:
        return ExitCode.CONFIG
    # By what was asked for, not by the files that are found for it: a replay keeps its name when an archive grows.
    run_id = export.run_id or run_id_of(
        config,
        export.input,
        input_format=export.input_format,
        max_line_bytes=export.max_line_bytes,
        time_range=TimeRange(export.start_time, export.end_time),
    )
    with (
        stdout_kept_free(is_wanted=STDOUT in {export.ledger, export.preview}),
        readable_input(export.input, export.names) as readable,
    ):
        export = dataclasses.replace(export, run_id=run_id, input=readable.patterns, names=readable.names)
        return _run_selected(export, config, dry_run=options.dry_run)


def _run_selected(export: ExportOptions, config: Config, *, dry_run: bool) -> int:
    """Replays the files that may hold wanted events."""
    try:
        if export.ledger is not None and export.ledger != STDOUT:
            check_replaceable(export.ledger)
        selection = select_input(export.input, TimeRange(export.start_time, export.end_time))
    except (SourceError, DeliveryError) as error:
        say(str(error))
        return ExitCode.FAILED
    say(f"replay {export.run_id}: {len(selection.files)} of {selection.found} files may hold events of that time")
    if unknown := len(selection.files) - len(selection.expected):
        say(f"note: {unknown} of them are in no manifest, so nothing tells whether they are whole")
    if not selection.files:
        return _nothing(export, config, dry_run=dry_run)
    export = dataclasses.replace(export, input=selection.files, expected=selection.expected, counted=selection.counted)
    return _run_dry(export, config) if dry_run else export_events(export, config)


def _run_dry(export: ExportOptions, config: Config) -> int:
    try:
        return run_dry(export, config, make_beam_options(export.beam))
    except UsageError:
        raise
    except Exception as error:
        return report_failure(error, config, debug=export.debug)


def _nothing(export: ExportOptions, config: Config, *, dry_run: bool) -> int:
    """The end of a replay of a time of which no file has anything: done, with a ledger that says so."""
    ledger = make_ledger([], config, {})
    if dry_run:
        return show_dry(ledger, [], export.ledger)
    return close_job(ledger, export.ledger, are_rejects_kept=export.rejects is not None)
