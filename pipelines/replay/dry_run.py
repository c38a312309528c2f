"""`dovebeam replay --dry_run`: events and bytes by hour, exporter and metric, and nothing sent."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.export.graph import read_blocks
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.ledger.closing import counters_of, write_account
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.pipelines.ledger.text import damage_text, event_table
from dovebeam.pipelines.options.beam import runs_here
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.running.launch import launch_far, launch_here
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.tables import Table, number, show_tables
from dovebeam.transforms.config import Config
from dovebeam.transforms.count_exports import CountExports, ExportSum
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.temporary import TemporaryFolder
from dovebeam.transforms.time_range import TimeRange
from dovebeam.transforms.uploads import Upload

__all__ = ["run_dry", "show_dry"]

_RESULT: Final = "sums.json"


def run_dry(options: ExportOptions, config: Config, beam_options: PipelineOptions) -> int:
    """Counts what an export with these options would send, shows it, and writes it to `options.ledger`.

    Raises:
        UsageError: the job runs elsewhere and has no place for its result.
    """
    if not runs_here(beam_options):
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
    """Shows what a dry run found, writes it to the file at `path` if there is one, and returns the exit code."""
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
    if runs_here(beam_options):
        return launch_here(build, beam_options, patterns=options.input, debug=options.debug)
    result = launch_far(build, beam_options, wait=options.wait)
    if result is None:
        raise RuntimeError("a job that is waited for has a result")
    return result


def _check_waited_for(options: ExportOptions, beam_options: PipelineOptions) -> None:
    """Refuses, before anything is started, a job whose result nobody would read."""
    if beam_options.view_as(GoogleCloudOptions).template_location:
        raise UsageError("--dry_run shows a result, and --template_location starts no job; leave one of them out")
    if not options.wait:
        raise UsageError("--dry_run shows the result of a job that runs elsewhere; add --wait (nothing was started)")


@contextlib.contextmanager
def _place(beam_options: PipelineOptions) -> Iterator[str]:
    """Where the worker writes and the launcher reads; removed in the end."""
    if runs_here(beam_options):
        with TemporaryFolder() as folder:
            yield os.path.join(folder, _RESULT)
        return
    folder = beam_options.view_as(GoogleCloudOptions).temp_location or ""
    if not is_url(folder):
        raise UsageError("--dry_run elsewhere needs a place for its result; add --temp_location gs://BUCKET/FOLDER")
    path = f"{folder.rstrip('/')}/dovebeam-dry-run-{uuid.uuid4().hex}.json"
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: str) -> None:
    """Removes the result, if there is one; that it stays must not hide why a job failed, nor fail one that is done."""
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
        """Replaces what an earlier attempt of the bundle wrote."""
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
