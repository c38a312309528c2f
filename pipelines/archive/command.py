"""The job `archive`: events from files into Avro files by the hour, from which replays are made.

    python -m dovebeam.pipelines.archive --input PATTERN --output DIR [Beam's options]

is for runners and schedulers; `dovebeam archive` is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dovebeam.pipelines.options.arguments import DEFAULT_MAX_LINE_BYTES, add_job_arguments, parse_arguments, values_of
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.options.pipes import STDOUT, check_pipes
from dovebeam.pipelines.terminal.guard import guarded
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.transforms.local_files import is_url

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineResult

    from dovebeam.pipelines.ledger.ledger import Ledger
    from dovebeam.transforms.progress import Board

__all__ = ["DESCRIPTION", "ArchiveOptions", "build_archive", "main", "run_archive"]

DESCRIPTION = "Write events into an archive: Avro files by the hour, with the types of all fields."

_FORMATS: Final = ("auto", "json", "tab-text", "avro")
_CODECS: Final = ("deflate", "zstandard", "null")


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What `dovebeam archive` is asked to do.

    Attributes:
        input: patterns of input files.
        output: the archive: an existing directory, or a folder in an object store.
        input_format: what the input is, or "auto".
        codec: how blocks are compressed.
        rejects: see `ExportOptions`, also for the following.
        ledger: see there.
        start_time: see there.
        end_time: see there.
        max_line_bytes: see there.
        run_id: see there.
        wait: see there.
        debug: see there.
        names: see there.
        beam: see there.
    """

    input: tuple[str, ...]
    output: str
    input_format: str = "auto"
    codec: str = "deflate"
    rejects: str | None = None
    ledger: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    run_id: str = ""
    wait: bool = False
    debug: bool = False
    names: tuple[tuple[str, str], ...] = ()
    beam: tuple[str, ...] = ()


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.archive") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, allow_abbrev=False)
    _add_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: run_archive(_parse(parser, arguments)))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of an archive."""
    add_job_arguments(parser, _FORMATS, "format of the input (default: told by its content)")
    parser.add_argument("--output", metavar="DIR", help="the archive: an existing directory, or gs://BUCKET/FOLDER")
    parser.add_argument(
        "--codec", choices=_CODECS, default="deflate", help="how the files are compressed (default: deflate)"
    )


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ArchiveOptions:
    known, beam = parse_arguments(parser, arguments)
    if not known.output:
        raise UsageError("--output is missing; name a directory for the archive, as in --output /srv/archive")
    written = [("--output", known.output), ("--ledger", known.ledger), ("--rejects", known.rejects)]
    problem = check_pipes([("--input", path) for path in known.input], written, refused=["--output", "--rejects"])
    if problem:
        raise UsageError(problem)
    return ArchiveOptions(**values_of(known, ArchiveOptions.__slots__), beam=beam)


def run_archive(options: ArchiveOptions) -> int:
    """Runs an archive and returns its exit code.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    from dovebeam.pipelines.jobs.readable_input import readable_input  # noqa: PLC0415
    from dovebeam.pipelines.ledger.closing import UNNAMED_FILES, close_started, report_failure  # noqa: PLC0415
    from dovebeam.pipelines.ledger.ledger import make_archive_ledger  # noqa: PLC0415
    from dovebeam.pipelines.options.beam import make_beam_options, runs_here  # noqa: PLC0415  loads Beam
    from dovebeam.pipelines.running.launch import launch_far, launch_here  # noqa: PLC0415
    from dovebeam.transforms.archive import ARCHIVE  # noqa: PLC0415
    from dovebeam.transforms.config import Config  # noqa: PLC0415

    def launch(board: Board) -> PipelineResult | None:
        def build(pipeline: beam.Pipeline) -> None:
            build_archive(pipeline, options)

        return launch_here(options, build, beam_options, board) if here else launch_far(options, build, beam_options)

    def account(counters: Iterable[tuple[str, int]]) -> Ledger:
        return make_archive_ledger(counters, ARCHIVE, options.output)

    def failed(error: Exception) -> int:
        return report_failure(error, Config({}, ()), debug=options.debug, left=UNNAMED_FILES)

    beam_options = make_beam_options(options.beam)
    here = runs_here(beam_options)
    if not here:
        _check_far(options)
    try:
        with stdout_kept_free(is_wanted=options.ledger == STDOUT), contextlib.ExitStack() as stack:
            options = stack.enter_context(readable_input(options))
            _check_outputs(options)
            return close_started(launch, account, failed, options)[0]
    except UsageError:
        raise
    except Exception as error:
        return failed(error)


def build_archive(pipeline: beam.Pipeline, options: ArchiveOptions) -> None:
    """Adds the steps of an archive to a pipeline.

    Raises:
        SourceError: a pattern matches nothing.
    """
    from dovebeam.pipelines.rejects.handler import reject_handler  # noqa: PLC0415
    from dovebeam.transforms.archive import WriteToArchive  # noqa: PLC0415
    from dovebeam.transforms.reading import ReadFromFiles  # noqa: PLC0415
    from dovebeam.transforms.time_range import TimeRange  # noqa: PLC0415

    read = ReadFromFiles(
        list(options.input),
        input_format=options.input_format,  # type: ignore[arg-type]  # argparse checked it
        max_line_bytes=options.max_line_bytes,
        names=dict(options.names),
    )
    archive = WriteToArchive(
        options.output if is_url(options.output) else os.path.abspath(options.output),
        run_id=_run_id(options),
        time_range=TimeRange(options.start_time, options.end_time),
        codec=options.codec,  # type: ignore[arg-type]  # argparse checked it
        max_line_bytes=options.max_line_bytes,
    )
    with reject_handler(options.rejects) as handler:
        _ = pipeline | "Read" >> read | "Archive" >> archive.with_error_handler(handler)


def _check_far(options: ArchiveOptions) -> None:
    """Refuses paths that mean nothing where the job runs."""
    from dovebeam.pipelines.jobs.readable_input import check_no_pipes  # noqa: PLC0415

    check_no_pipes(options)
    if options.rejects is not None and not is_url(options.rejects):
        raise UsageError("--rejects names a file of this machine, but the job runs elsewhere; give it as gs://...")
    if options.ledger is not None and not options.wait:
        raise UsageError("--ledger needs the end of the job, which runs elsewhere; add --wait")
    if options.rejects is None and not options.wait:
        raise UsageError(
            "a job that runs elsewhere and that nobody waits for needs a place for what it rejects; add --rejects "
            "gs://BUCKET/OBJECT, or --wait"
        )


def _check_outputs(options: ArchiveOptions) -> None:
    from dovebeam.pipelines.jobs.outputs import check_outputs  # noqa: PLC0415

    if not is_url(options.output) and not os.path.isdir(options.output):
        raise UsageError(f"--output: {options.output} is no directory; create it, or correct the path")
    check_outputs(options, {})


def _run_id(options: ArchiveOptions) -> str:
    """The name that was given, or else a hash of what decides what is written, and of the files that are read.

    The same command next day must not replace what it archived from other files of the same names.

    Raises:
        SourceError: a pattern matches nothing, or a file of this very archive, whose events would be in it twice.
    """
    from dovebeam.pipelines.jobs.run_id import run_id_of_files  # noqa: PLC0415
    from dovebeam.transforms.reading import match_files  # noqa: PLC0415
    from dovebeam.transforms.sources import SourceError  # noqa: PLC0415

    files = match_files(options.input)
    root = (options.output if is_url(options.output) else os.path.abspath(options.output)).rstrip("/")
    for file in files:
        if file.uri.startswith(f"{root}/"):
            message = "is in the archive of --output already, and would be in it twice; name another --output"
            raise SourceError(message, file.uri)
    if options.run_id:
        return options.run_id
    return run_id_of_files([options.input_format, options.codec, options.start_time, options.end_time], files)
