"""The command `dovebeam export`, from its options to its exit code; `export_job`, the job, loads Beam."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.terminal.exit_codes import ExitCode, guarded

__all__ = ["DESCRIPTION", "EPILOG", "main"]

DESCRIPTION: Final = (
    "Deliver the events of files: metric blocks of a dovecot.conf filter them, event_exporter blocks name the targets."
)
EPILOG: Final = (
    "Options of Apache Beam follow, such as --runner, --temp_location or --direct_num_workers=4 "
    "--direct_running_mode=multi_processing. "
    "Exit codes: 0 done, 1 failed, 2 usage, 78 configuration, 130 stopped by Ctrl-C."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.export") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    add_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: _run(parse_export(parser, arguments)))


def _run(options: ExportOptions) -> int:
    from dovebeam.pipelines.jobs.configuration import load_for_job  # noqa: PLC0415  light, and tells what is wrong

    config = load_for_job(options.config, strict=options.strict)
    if config is None:
        return ExitCode.CONFIG

    from dovebeam.pipelines.export.export_job import export_events  # noqa: PLC0415  loads Beam, which --help must not

    return export_events(options, config)
