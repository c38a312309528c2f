"""Command-line options of `dovebeam archive`; a light module, since `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dovebeam.pipelines.options.arguments import (
    DEFAULT_MAX_LINE_BYTES,
    add_job_arguments,
    check_pipes,
    parse_arguments,
    values_of,
)
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = ["ArchiveOptions", "add_archive_arguments", "parse_archive"]

ArchiveFormat = Literal["auto", "json", "tab-text", "avro"]
Codec = Literal["deflate", "zstandard", "null"]


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """Options of one `dovebeam archive`.

    Attributes:
        input: patterns of input files.
        output: the archive: an existing directory, or a folder in an object store.
        input_format: format of the input, "auto" to detect it.
        codec: compression of the blocks.
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
    input_format: ArchiveFormat = "auto"
    codec: Codec = "deflate"
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


def add_archive_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of an archive."""
    add_job_arguments(parser, get_args(ArchiveFormat), "format of the input (default: detected)")
    parser.add_argument("--output", metavar="DIR", help="the archive: an existing directory, or gs://BUCKET/FOLDER")
    parser.add_argument(
        "--codec", choices=get_args(Codec), default="deflate", help="compression of the files (default: deflate)"
    )


def parse_archive(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ArchiveOptions:
    """The options in `arguments`, by a parser that has those of `add_archive_arguments`.

    Raises:
        UsageError: a misspelt option, one that is missing, or an argument that belongs to no option.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, beam = parse_arguments(parser, arguments)
    if not known.output:
        raise UsageError("--output is missing; name a directory for the archive, as in --output /srv/archive")
    written = [("--output", known.output), ("--ledger", known.ledger), ("--rejects", known.rejects)]
    problem = check_pipes([("--input", path) for path in known.input], written, refused=["--output", "--rejects"])
    if problem:
        raise UsageError(problem)
    return ArchiveOptions(**values_of(known, ArchiveOptions.__slots__), beam=beam)
