"""The command `dovebeam stream`, from its options to its exit code; `stream_job`, the job, loads Beam."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.stream.options import StreamOptions, add_stream_arguments, parse_stream
from dovebeam.pipelines.terminal.exit_codes import ExitCode, guarded

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION: Final = (
    "Deliver events continuously: metric blocks of a dovecot.conf filter them, event_exporter blocks name the targets."
)
_EPILOG: Final = (
    "Ctrl-C, SIGTERM, SIGHUP or SIGQUIT stops it after what was read is delivered; a second one stops it at once. "
    "Options of Apache Beam follow. Exit codes: 0 done, 1 failed, 2 usage, 78 configuration."
)


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.stream") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=_EPILOG, allow_abbrev=False)
    add_stream_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: _run(parse_stream(parser, arguments)))


def _run(options: StreamOptions) -> int:
    from dovebeam.pipelines.jobs.configuration import load_for_job  # noqa: PLC0415  light, and tells what is wrong

    config = load_for_job(options.config, strict=options.strict)
    if config is None:
        return ExitCode.CONFIG

    from dovebeam.pipelines.stream.stream_job import run_stream  # noqa: PLC0415  loads Beam, which --help must not

    return run_stream(options, config)
