"""The job `archive`: checked, built and run; it writes events from files into Avro files by the hour."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable
from functools import partial

import apache_beam as beam
from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.archive.options import ArchiveOptions
from dovebeam.pipelines.jobs.configuration import run_id_of_files
from dovebeam.pipelines.jobs.outputs import check_far_outputs, check_outputs
from dovebeam.pipelines.jobs.readable_input import check_no_pipes, readable_input
from dovebeam.pipelines.jobs.reject_sink import reject_handler
from dovebeam.pipelines.ledger.closing import UNNAMED_FILES, close_started, report_failure
from dovebeam.pipelines.ledger.ledger import Ledger, make_archive_ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.options.beam import is_local_job, make_beam_options
from dovebeam.pipelines.running.launch import launch_far, launch_here
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.transforms.config import Config
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.filesystems import match_files
from dovebeam.transforms.local_files import file_url_path, is_url
from dovebeam.transforms.progress import JobMonitor
from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.sources import SourceError
from dovebeam.transforms.write_to_archive import ARCHIVE, WriteToArchive

__all__ = ["run_archive"]


def run_archive(options: ArchiveOptions) -> int:
    """Runs an archive and returns its exit code.

    Raises:
        UsageError: options that Beam refuses, or that contradict each other.
    """

    # These read `options` when they are called, by when copies have taken the place of pipes.
    def launch(monitor: JobMonitor) -> PipelineResult | None:
        build = partial(build_archive, options=options)
        if not local:
            return launch_far(build, beam_options, wait=options.wait)
        return launch_here(build, beam_options, monitor, patterns=options.input, debug=options.debug)

    def account(counters: Iterable[tuple[str, int]]) -> Ledger:
        return make_archive_ledger(counters, ARCHIVE, options.output)

    def failed(error: Exception) -> int:
        return report_failure(error, Config({}, ()), debug=options.debug, left=UNNAMED_FILES)

    beam_options = make_beam_options(options.beam)
    local = is_local_job(beam_options)
    if not local:
        check_no_pipes(options.input)
        check_far_outputs(options.rejects, options.ledger, wait=options.wait)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(stdout_kept_free(is_wanted=options.ledger == STDOUT))
            readable = stack.enter_context(readable_input(options.input, options.names))
            options = dataclasses.replace(options, input=readable.patterns, names=readable.names)
            _check_outputs(options)
            kept = options.rejects is not None
            return close_started(launch, account, failed, options.ledger, are_rejects_kept=kept)[0]
    except UsageError:
        raise
    except Exception as error:
        return failed(error)


def build_archive(pipeline: beam.Pipeline, options: ArchiveOptions) -> None:
    """Adds the steps of an archive to a pipeline.

    Raises:
        SourceError: a pattern matches nothing.
    """
    read = ReadFromFiles(
        list(options.input),
        input_format=options.input_format,
        max_line_bytes=options.max_line_bytes,
        names=dict(options.names),
    )
    archive = WriteToArchive(
        options.output if is_url(options.output) else os.path.abspath(options.output),
        run_id=_run_id(options),
        time_range=TimeRange(options.start_time, options.end_time),
        codec=options.codec,
        max_line_bytes=options.max_line_bytes,
    )
    with reject_handler(options.rejects) as handler:
        _ = pipeline | "Read" >> read | "Archive" >> archive.with_error_handler(handler)


def _check_outputs(options: ArchiveOptions) -> None:
    path = file_url_path(options.output)
    # A file:// URL would be written like an object of a store.
    if path:
        raise UsageError(f"--output {options.output} is a URL of a file of this machine; write its path, {path}")
    if not is_url(options.output) and not os.path.isdir(options.output):
        raise UsageError(f"--output: {options.output} is not a directory; create it, or correct the path")
    check_outputs({}, read=options.input, rejects=options.rejects, ledger=options.ledger)


def _run_id(options: ArchiveOptions) -> str:
    """The given name of the run, else a hash of the options that decide its output and of the files that it reads.

    The files are part of it, because the same command next day must not replace what it archived from other files of
    the same names.

    Raises:
        SourceError: a pattern matches nothing, or a file of this very archive, whose events would be in it twice.
    """
    files = match_files(options.input)
    root = (options.output if is_url(options.output) else os.path.abspath(options.output)).rstrip("/")
    for file in files:
        if file.uri.startswith(f"{root}/"):
            message = "is in the archive of --output already, and would be in it twice; name another --output"
            raise SourceError(message, file.uri)
    if options.run_id:
        return options.run_id
    return run_id_of_files([options.input_format, options.codec, options.start_time, options.end_time], files)
