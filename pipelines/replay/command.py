"""The command `dovebeam replay`, from its options to its exit code; `replay_job`, the job, loads Beam."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.replay.options import ReplayOptions, add_replay_arguments, parse_replay
from dovebeam.pipelines.terminal.exit_codes import ExitCode, guarded

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION: Final = (
    "Re-export a time range of an archive. Idempotency keys and file names are those of a first replay of the same "
    "range, so that targets can deduplicate."
)
_EPILOG: Final = (
    "--input is an archive that `dovebeam archive` wrote (a directory, or gs://BUCKET/FOLDER/), or a pattern of files. "
    "Options of Apache Beam follow, as in `dovebeam export`."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.replay") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_replay_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: _run(parse_replay(parser, arguments)))


def _run(options: ReplayOptions) -> int:
    from dovebeam.pipelines.jobs.configuration import (  # noqa: PLC0415  light, and tells what is wrong
        failed_exporters,
        load_for_job,
    )

    export, only = options.export, options.only_exporter
    if options.only_failed is not None:
        only = failed_exporters(options.only_failed)
    config = load_for_job(export.config, strict=export.strict, only_exporter=only)
    if config is None:
        return ExitCode.CONFIG

    from dovebeam.pipelines.replay.replay_job import run_replay  # noqa: PLC0415  loads Beam, which --help must not

    return run_replay(options, config)
