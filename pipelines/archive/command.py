"""The command `dovebeam archive`, from its options to its exit code; `archive_job`, the job, loads Beam."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.archive.options import ArchiveOptions, add_archive_arguments, parse_archive
from dovebeam.pipelines.terminal.exit_codes import guarded

__all__ = ["DESCRIPTION", "main"]

DESCRIPTION: Final = "Write events into an archive: Avro files by the hour, with the types of all fields."


def main(argv: Sequence[str] | None = None, prog: str = "python -m dovebeam.pipelines.archive") -> int:
    """Runs the job with the options in `argv`, by default those of the process; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, allow_abbrev=False)
    add_archive_arguments(parser)
    arguments = sys.argv[1:] if argv is None else argv
    return guarded(arguments, lambda: _run(parse_archive(parser, arguments)))


def _run(options: ArchiveOptions) -> int:
    from dovebeam.pipelines.archive.archive_job import run_archive  # noqa: PLC0415  loads Beam, which --help must not

    return run_archive(options)
