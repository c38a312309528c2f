"""The job `export`: events from files through a configuration to its exporters.

    python -m dovebeam.pipelines.export --config FILE --input PATTERN [Beam's options]

is for runners and schedulers; `dovebeam export` is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.options.pipes import STDOUT
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.guard import guarded
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import stdout_kept_free
from dovebeam.transforms.local_files import is_url

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineResult

    from dovebeam.pipelines.export.preview import Preview
    from dovebeam.pipelines.ledger.ledger import Ledger
    from dovebeam.transforms.config import Config
    from dovebeam.transforms.drivers import Driver
    from dovebeam.transforms.progress import Board

__all__ = ["DESCRIPTION", "EPILOG", "load", "main", "make_drivers", "run_export"]

DESCRIPTION = "Export Dovecot events as the metric and event_exporter blocks of a dovecot.conf say."
EPILOG = (
    "Options of Apache Beam follow, such as --runner, --temp_location or --direct_num_workers=4 "
    "--direct_running_mode=multi_processing. "
    "Exit codes: 0 done, 1 failed, 2 usage, 78 configuration, 130 stopped by Ctrl-C."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.export") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    add_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: run_export(parse_export(parser, arguments)))


def run_export(options: ExportOptions, *, quiet: bool = False) -> int:
    """Runs an export and returns its exit code.

    Args:
        options: what it does.
        quiet: whether the configuration's warnings were shown before.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    config = load(options, quiet=quiet)
    if config is None:
        return ExitCode.CONFIG

    from dovebeam.pipelines.jobs.outputs import check_outputs  # noqa: PLC0415  loads Beam
    from dovebeam.pipelines.jobs.readable_input import readable_input  # noqa: PLC0415  not for --help
    from dovebeam.pipelines.options.beam import make_beam_options, runs_here  # noqa: PLC0415  loads Beam
    from dovebeam.transforms.temporary import TemporaryFolder  # noqa: PLC0415

    beam_options = make_beam_options(options.beam)
    here = runs_here(beam_options)
    if not here:
        _check_far(options)
    preview = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(stdout_kept_free(is_wanted=STDOUT in {options.ledger, options.preview}))
        try:
            drivers = make_drivers(config, here=here) if options.preview is None else {}
            if drivers is None:
                return ExitCode.CONFIG
            options = stack.enter_context(readable_input(options))
            if options.preview is not None:
                folder = stack.enter_context(TemporaryFolder()) if options.preview == STDOUT else options.preview
                preview = _plan_preview(folder, config)
                drivers = dict(preview.drivers())
            check_outputs(options, drivers)
            if preview is not None:
                preview.claim()
            code = _run(options, config, drivers, beam_options, here=here)
            if preview is not None and options.preview == STDOUT:
                preview.print()
        except UsageError:
            if preview is not None:
                preview.discard_empty()
            raise
        except Exception as error:
            code = _failed(error, options, config)
        if preview is not None and code != ExitCode.DONE:
            preview.discard_empty()
    return code


def _failed(error: Exception, options: ExportOptions, config: Config) -> int:
    from dovebeam.pipelines.ledger.closing import report_failure  # noqa: PLC0415

    return report_failure(error, config, debug=options.debug)


def load(options: ExportOptions, *, quiet: bool = False) -> Config | None:
    """The configuration of a job, with only the exporters that it is about; None after telling of every problem.

    Args:
        options: of the job.
        quiet: whether to say nothing about what is only probably not meant; for reading it once more.

    Raises:
        UsageError: an exporter that was asked for does not exist.
    """
    from dovebeam.pipelines.jobs.readable_input import tell_terminal  # noqa: PLC0415  not for --help
    from dovebeam.pipelines.jobs.scope import restrict  # noqa: PLC0415
    from dovebeam.transforms.config_files import load_config  # noqa: PLC0415
    from dovebeam.transforms.errors import ConfigError  # noqa: PLC0415

    tell_terminal(options.config)
    try:
        config = load_config(options.config, strict=options.strict)
    except ConfigError as error:
        _show_problems(map(str, error.problems), "error")
        return None
    if not quiet:
        _show_problems(map(str, config.warnings), "warning")
        if not any(metric.exporter for metric in config.metrics):
            say("warning: no metric of the configuration names an exporter, so nothing will be exported")
    return restrict(config, options.only_exporter) if options.only_exporter else config


def make_drivers(config: Config, *, here: bool) -> dict[str, Driver] | None:
    """The drivers of all exporters in use; None after telling of every one that cannot work.

    Args:
        config: whose exporters they are.
        here: whether the job runs on this machine.
    """
    from dovebeam.pipelines.jobs.drivers import examine_drivers  # noqa: PLC0415

    found = examine_drivers(config, here=here)
    problems = found.errors + found.missing
    _show_problems(map(str, found.warnings), "warning")
    _show_problems(map(str, problems), "error")
    return None if problems else found.drivers


def _show_problems(problems: Iterable[str], kind: str) -> None:
    for problem in problems:
        say(f"{kind}: {problem}")


def _check_far(options: ExportOptions) -> None:
    """Refuses paths that mean nothing where the job runs."""
    from dovebeam.pipelines.jobs.readable_input import check_no_pipes  # noqa: PLC0415

    check_no_pipes(options)
    if options.preview is not None:
        raise UsageError("--preview writes files of this machine; leave --runner out to run the preview here")
    if options.rejects is not None and options.rejects.startswith("projects/"):
        raise UsageError("--rejects of a job that ends is an object, as gs://...; a topic is for `dovebeam stream`")
    if options.rejects is not None and not is_url(options.rejects):
        raise UsageError("--rejects names a file of this machine, but the job runs elsewhere; give it as gs://...")
    if options.ledger is not None and not options.wait:
        raise UsageError("--ledger needs the end of the job, which runs elsewhere; add --wait")
    if options.rejects is None and not options.wait:
        raise UsageError(
            "a job that runs elsewhere and that nobody waits for needs a place for what it rejects; add --rejects "
            "gs://BUCKET/OBJECT, or --wait"
        )


def _plan_preview(directory: str, config: Config) -> Preview:
    from dovebeam.pipelines.export.preview import Preview  # noqa: PLC0415

    return Preview.plan(directory, config)


def _run(
    options: ExportOptions,
    config: Config,
    drivers: Mapping[str, Driver],
    beam_options: PipelineOptions,
    *,
    here: bool,
) -> int:
    from dovebeam.pipelines.export.graph import build_export  # noqa: PLC0415
    from dovebeam.pipelines.jobs.credentials import lent_to_workers  # noqa: PLC0415
    from dovebeam.pipelines.ledger.closing import close_started  # noqa: PLC0415
    from dovebeam.pipelines.ledger.ledger import make_ledger  # noqa: PLC0415
    from dovebeam.pipelines.ledger.messages import unmatching_metrics_text  # noqa: PLC0415
    from dovebeam.pipelines.running.launch import launch_far, launch_here  # noqa: PLC0415

    build = partial(build_export, options=options, config=config, drivers=drivers)
    names = dict(options.names)
    targets = {name: driver.endpoint for name, driver in drivers.items()}

    def launch(board: Board) -> PipelineResult | None:
        if not here:
            return launch_far(options, build, beam_options)
        with lent_to_workers(drivers, beam_options):
            return launch_here(options, build, beam_options, board)

    def account(counters: Iterable[tuple[str, int]]) -> Ledger:
        return make_ledger(counters, config, targets, options.counted)

    code, ledger = close_started(launch, account, lambda error: _failed(error, options, config), options)
    if ledger is not None and options.input_format != "rejects":
        unmatched = unmatching_metrics_text(ledger, options.config, [names.get(path, path) for path in options.input])
        if unmatched:
            say(unmatched)
    return code
