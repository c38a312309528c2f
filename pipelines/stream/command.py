"""The job `stream`: events through a configuration to its exporters as they come, until it is told to end.

    python -m dovebeam.pipelines.stream --config FILE --follow DIR --state DIR --rejects FILE [Beam's options]
    python -m dovebeam.pipelines.stream --config FILE --input_subscription NAME --rejects FILE [Beam's options]

are for runners and schedulers; `dovebeam stream` is the same. Ctrl-C or SIGTERM drains it: what was read is delivered,
and the job ends with code 0. A second signal ends it at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dovebeam.pipelines.export.command import load, make_drivers
from dovebeam.pipelines.export.options import ExportOptions
from dovebeam.pipelines.options.engines import is_flink, stream_arguments
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.pipelines.stream.options import StreamOptions, add_stream_arguments, parse_stream
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.guard import guarded
from dovebeam.pipelines.terminal.logs import say

if TYPE_CHECKING:
    from dovebeam.transforms.config import Config
    from dovebeam.transforms.drivers import Driver

__all__ = ["DESCRIPTION", "main", "run_stream"]

DESCRIPTION: Final = (
    "Export Dovecot events as they come, as the metric and event_exporter blocks of a dovecot.conf say."
)
_EPILOG: Final = (
    "Ctrl-C, SIGTERM, SIGHUP or SIGQUIT ends it: what was read is delivered first; again to end at once. "
    "Options of Apache Beam follow. Exit codes: 0 done, 1 failed, 2 usage, 78 configuration."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.stream") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_stream_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: run_stream(parse_stream(parser, arguments)))


def run_stream(options: StreamOptions) -> int:
    """Runs a stream until a signal ends it, and returns its exit code.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    if options.ledger and is_flink(options.beam):
        raise UsageError(
            "--ledger: Flink does not end a stream itself and has no counters of one that was ended; leave it out, "
            "the last message has the account"
        )
    config = load(ExportOptions(options.config, options.follow, strict=options.strict))
    if config is None:
        return ExitCode.CONFIG

    from dovebeam.pipelines.ledger.closing import report_failure  # noqa: PLC0415
    from dovebeam.pipelines.options.beam import make_beam_options, runs_here  # noqa: PLC0415  loads Beam

    beam_options = make_beam_options(stream_arguments(options.beam))
    here = runs_here(beam_options)
    try:
        if not here:
            from dovebeam.pipelines.stream.far import check_far_stream, run_far  # noqa: PLC0415

            check_far_stream(options)
        drivers = make_drivers(config, here=here)
        if drivers is None or _shards_without_windows(config, drivers):
            return ExitCode.CONFIG
        if not here:
            return run_far(options, config, drivers, beam_options)
        from dovebeam.pipelines.stream.job import run_here  # noqa: PLC0415

        return run_here(options, config, drivers, beam_options)
    except UsageError:
        raise
    except Exception as error:
        return report_failure(error, config, debug=options.debug)


def _shards_without_windows(config: Config, drivers: Mapping[str, Driver]) -> bool:
    """Says of every exporter that writes shards and not window by window that its files would never be complete."""
    from dovebeam.transforms.drivers import FileDriver  # noqa: PLC0415

    found = False
    for name, driver in drivers.items():
        if isinstance(driver, FileDriver) and driver.file_writing == "shards" and not driver.rotate_interval_secs:
            found = True
            exporter = config.exporters[name]
            say(
                f"error: {exporter.settings.place('event_exporter_file_writing')}: event_exporter {name}: shards are "
                "complete when a job ends, and a stream has no end; add file_rotate_interval, such as 1 h, for files "
                "that are complete when that part of time is over"
            )
    return found
