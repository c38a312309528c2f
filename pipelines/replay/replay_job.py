"""The job `replay`: exports the files of an archive that may hold events of a time range again, or counts them.

A replay is an export of these files, with the same guarantees and the same ledger. The same command has the same run id
each time, and with it the same idempotency keys and file names. A dry run counts in a pipeline of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.export.export_job import export_events, read_blocks
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.jobs.configuration import run_id_of
from dovebeam.pipelines.jobs.outputs import check_replaceable
from dovebeam.pipelines.jobs.readable_input import readable_input
from dovebeam.pipelines.ledger.closing import (
    close_job,
    counters_of,
    damage_text,
    event_table,
    report_failure,
    write_account,
)
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.options.beam import is_local_job, make_beam_options
from dovebeam.pipelines.replay.options import ReplayOptions
from dovebeam.pipelines.replay.selection import select_input
from dovebeam.pipelines.running.launch import launch_far, launch_here
from dovebeam.pipelines.terminal.exit_codes import ExitCode, UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.pipelines.terminal.tables import Table, number, show_tables
from dovebeam.transforms.config import Config
from dovebeam.transforms.count_exports import CountExports, ExportSum
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.filesystems import Upload
from dovebeam.transforms.local_files import TemporaryFolder, is_url
from dovebeam.transforms.sources import SourceError

__all__ = ["run_replay", "show_dry"]

_RESULT: Final = "sums.json"


def run_replay(options: ReplayOptions, config: Config) -> int:
    """Runs a replay and returns its exit code.

    Args:
        options: of the replay.
        config: the configuration that the options name, restricted to the exporters of the replay.

    Raises:
        UsageError: options that Beam refuses, or that contradict each other.
    """
    export = options.export
    # Of the question, not of the files that are found for it: a replay keeps its name when an archive grows.
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
    """Ends a replay of a time range without files: done, with an empty ledger."""
    ledger = make_ledger([], config, {})
    if dry_run:
        return show_dry(ledger, [], export.ledger)
    return close_job(ledger, export.ledger, are_rejects_kept=export.rejects is not None)


# The dry run.


def run_dry(options: ExportOptions, config: Config, beam_options: PipelineOptions) -> int:
    """Counts what an export with these options would send, shows it, and writes it to `options.ledger`.

    Raises:
        UsageError: the job is remote and has no place for its result.
    """
    if not is_local_job(beam_options):
        _check_waited_for(options, beam_options)
    with _place(beam_options) as path:

        def build(pipeline: beam.Pipeline) -> None:
            count = CountExports(
                config,
                time_range=TimeRange(options.start_time, options.end_time),
                max_line_bytes=options.max_line_bytes,
            )
            sums = read_blocks(pipeline, options) | "Count" >> count
            _ = sums | "Write" >> beam.ParDo(_WriteFn(path))

        result = _launch(options, build, beam_options)
        sums = _read(path)
    return show_dry(make_ledger(counters_of(result), config, {}, options.counted), sums, options.ledger)


def show_dry(ledger: Ledger, sums: Sequence[ExportSum], path: str | None) -> int:
    """Shows the result of a dry run, writes it to `path` if there is one, and returns the exit code."""
    show_tables(_tables(ledger, sums))
    written = path is None or write_account(path, _as_dict(ledger, sums))
    if ledger.damaged:
        say(damage_text(ledger.damaged))
    miscounted = ledger.counted not in (None, ledger.read)
    if miscounted:
        say(
            f"lost count: read {ledger.read}, but the manifests of the archive count {ledger.counted}; please report it"
        )
    return ExitCode.FAILED if miscounted or ledger.damaged or not written else ExitCode.DONE


def _launch(options: ExportOptions, build: Any, beam_options: PipelineOptions) -> PipelineResult:
    if is_local_job(beam_options):
        return launch_here(build, beam_options, patterns=options.input, debug=options.debug)
    result = launch_far(build, beam_options, wait=options.wait)
    if result is None:
        raise RuntimeError("a job that is waited for has a result")
    return result


def _check_waited_for(options: ExportOptions, beam_options: PipelineOptions) -> None:
    """Refuses, before anything is started, a remote dry run whose result could not be shown."""
    if beam_options.view_as(GoogleCloudOptions).template_location:
        raise UsageError("--dry_run shows a result, and --template_location starts no job; leave one of them out")
    if not options.wait:
        raise UsageError("--dry_run shows the result of a remote job; add --wait (nothing was started)")


@contextlib.contextmanager
def _place(beam_options: PipelineOptions) -> Iterator[str]:
    """Path or URL of the result, which a worker writes and the launcher reads; removed at the end."""
    # A file, because a pipeline returns nothing but counters, of which one for each hour would be too many.
    if is_local_job(beam_options):
        with TemporaryFolder() as folder:
            yield os.path.join(folder, _RESULT)
        return
    folder = beam_options.view_as(GoogleCloudOptions).temp_location or ""
    if not is_url(folder):
        raise UsageError("a remote --dry_run needs a place for its result; add --temp_location gs://BUCKET/FOLDER")
    path = f"{folder.rstrip('/')}/dovebeam-dry-run-{uuid.uuid4().hex}.json"
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: str) -> None:
    """Removes the result if there is one; an error is only a warning."""
    # It must neither hide why a job failed nor fail one that is done.
    try:
        if FileSystems.exists(path):
            FileSystems.delete([path])
    except Exception as error:
        say(f"warning: {path} could not be removed ({type(error).__name__}); delete it")


class _WriteFn(beam.DoFn):
    """Writes the one list of sums."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, sums: Any) -> None:
        """Writes the result, in place of that of an earlier attempt of the bundle."""
        with Upload(self._path) as file:
            file.write(json.dumps(sums).encode())


def _read(path: str) -> list[ExportSum]:
    with contextlib.closing(FileSystems.open(path)) as file:
        return [ExportSum(*row) for row in json.loads(file.read())]


def _tables(ledger: Ledger, sums: Sequence[ExportSum]) -> list[Table]:
    rows = [
        (each.hour or "(no time)", each.exporter, each.metric, number(each.events), number(each.bytes))
        for each in sorted(sums, key=lambda each: (each.hour, each.exporter, each.metric))
    ]
    totals = [(name, number(events), number(size)) for name, (events, size) in _by_exporter(sums).items()]
    return [
        event_table(ledger),
        Table(("hour", "exporter", "metric", "events", "bytes"), frozenset({3, 4}), rows),
        Table(("would be sent to", "events", "bytes"), frozenset({1, 2}), totals),
    ]


def _by_exporter(sums: Sequence[ExportSum]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for each in sums:
        events, size = found.get(each.exporter, (0, 0))
        found[each.exporter] = events + each.events, size + each.bytes
    return found


def _as_dict(ledger: Ledger, sums: Sequence[ExportSum]) -> dict[str, Any]:
    return {
        "dry_run": True,
        "read": ledger.read,
        "matched": ledger.matched,
        "unmatched": ledger.unmatched,
        "out_of_range": ledger.out_of_range,
        "undecodable": ledger.undecodable,
        "damaged": list(ledger.damaged),
        "sums": [each._asdict() for each in sums],
        "exporters": [
            {"name": name, "formatted": events, "bytes": size} for name, (events, size) in _by_exporter(sums).items()
        ],
    }
