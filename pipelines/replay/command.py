"""The job `replay`: events of a span of time out of an archive, to the exporters of a configuration, once more.

    python -m dovebeam.pipelines.replay --config FILE --input ARCHIVE --start_time T --end_time T [Beam's options]

is for runners and schedulers; `dovebeam replay` is the same. A replay is an export: bounded, so nothing is ever late,
with the same guarantees and the same ledger. The same command has the same run id each time, and with it the same
idempotency keys and the same file names.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dovebeam.pipelines.export.command import load, run_export
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.options.pipes import STDOUT
from dovebeam.pipelines.replay.options import ReplayOptions, add_replay_arguments, parse_replay
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.guard import guarded
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free

if TYPE_CHECKING:
    from dovebeam.pipelines.replay.selection import Selection

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION: Final = "Export the events of a span of time out of an archive, once more."
_EPILOG: Final = (
    "--input is an archive that `dovebeam archive` wrote (a directory, or gs://BUCKET/FOLDER/), or a pattern of files. "
    "Options of Apache Beam follow, as in `dovebeam export`."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.replay") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_replay_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: run_replay(parse_replay(parser, arguments)))


def run_replay(options: ReplayOptions) -> int:
    """Runs a replay and returns its exit code.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    from dovebeam.pipelines.jobs.readable_input import readable_input  # noqa: PLC0415
    from dovebeam.pipelines.jobs.run_id import run_id_of  # noqa: PLC0415
    from dovebeam.pipelines.jobs.scope import failed_exporters  # noqa: PLC0415

    export = options.export
    if options.only_failed is not None:
        export = dataclasses.replace(export, only_exporter=failed_exporters(options.only_failed))
    config = load(export)
    if config is None:
        return ExitCode.CONFIG
    # By what was asked for, not by the files that are found for it: a replay keeps its name when an archive grows.
    export = dataclasses.replace(export, run_id=run_id_of(export, config))
    with stdout_kept_free(is_wanted=STDOUT in {export.ledger, export.preview}), readable_input(export) as export:
        return _run_selected(export, dry_run=options.dry_run)


def _run_selected(export: ExportOptions, *, dry_run: bool) -> int:
    from dovebeam.pipelines.jobs.files import check_replaceable  # noqa: PLC0415
    from dovebeam.transforms.errors import DeliveryError  # noqa: PLC0415
    from dovebeam.transforms.sources import SourceError  # noqa: PLC0415

    try:
        if export.ledger is not None and export.ledger != STDOUT:
            check_replaceable(export.ledger)
        selection = _select(export)
    except (SourceError, DeliveryError) as error:
        say(str(error))
        return ExitCode.FAILED
    say(f"replay {export.run_id}: {len(selection.files)} of {selection.found} files may hold events of that time")
    if unknown := len(selection.files) - len(selection.expected):
        say(f"note: {unknown} of them are in no manifest, so nothing tells whether they are whole")
    if not selection.files:
        return _nothing(export, dry_run=dry_run)
    export = dataclasses.replace(export, input=selection.files, expected=selection.expected, counted=selection.counted)
    return _run_dry(export) if dry_run else run_export(export, quiet=True)


def _select(export: ExportOptions) -> Selection:
    from dovebeam.pipelines.replay.selection import select_input  # noqa: PLC0415  loads Beam
    from dovebeam.transforms.time_range import TimeRange  # noqa: PLC0415

    return select_input(export.input, TimeRange(export.start_time, export.end_time))


def _run_dry(export: ExportOptions) -> int:
    from dovebeam.pipelines.ledger.closing import report_failure  # noqa: PLC0415
    from dovebeam.pipelines.options.beam import make_beam_options  # noqa: PLC0415  loads Beam
    from dovebeam.pipelines.replay.dry_run import run_dry  # noqa: PLC0415

    config = load(export, quiet=True)
    if config is None:
        return ExitCode.CONFIG
    try:
        return run_dry(export, config, make_beam_options(export.beam))
    except UsageError:
        raise
    except Exception as error:
        return report_failure(error, config, debug=export.debug)


def _nothing(export: ExportOptions, *, dry_run: bool) -> int:
    """The end of a replay of a time of which no file has anything: done, with a ledger that says so."""
    from dovebeam.pipelines.ledger.closing import close_job  # noqa: PLC0415
    from dovebeam.pipelines.ledger.ledger import make_ledger  # noqa: PLC0415
    from dovebeam.pipelines.replay.dry_run import show_dry  # noqa: PLC0415

    config = load(export, quiet=True)
    if config is None:
        return ExitCode.CONFIG
    ledger = make_ledger([], config, {})
    return show_dry(ledger, [], export) if dry_run else close_job(ledger, export)
