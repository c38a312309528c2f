"""Command-line options of `dovebeam export`; a light module, since `--help` must answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

from dovebeam.pipelines.options.arguments import (
    DEFAULT_MAX_LINE_BYTES,
    add_config_argument,
    add_job_arguments,
    as_output,
    check_pipes,
    checked,
    parse_arguments,
    read_count,
    values_of,
)
from dovebeam.pipelines.terminal.exit_codes import UsageError

if TYPE_CHECKING:
    from dovebeam.transforms.sources import Expected

__all__ = [
    "DEFAULT_MAX_LINE_BYTES",
    "INPUT_FORMATS",
    "ExportOptions",
    "InputFormat",
    "add_arguments",
    "parse_export",
]

InputFormat = Literal["auto", "json", "tab-text", "avro", "rejects"]
INPUT_FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)
DEFAULT_MAX_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of one `dovebeam export`.

    Attributes:
        config: configuration files; later ones override.
        strict: whether something of a later Dovecot is an error; otherwise its block is left out.
        input: patterns of input files.
        input_format: one of `INPUT_FORMATS`; "rejects" re-sends what earlier jobs rejected.
        max_attempts: with "rejects", most attempts for a reject over all jobs.
        rejects: path or URL for rejects; None lets a job with rejects fail.
        ledger: file for the ledger as JSON, None for none.
        start_time: start of the time range, microseconds since 1970; None for no limit.
        end_time: end of the time range, exclusive; None for no limit.
        preview: directory that gets every exporter's output instead of its target; None delivers for real.
        max_line_bytes: longer lines are rejected.
        wait: whether to wait for the end of a remote job.
        debug: whether errors show tracebacks, and the log everything.
        run_id: name of the run in names of files; empty for one that the same command has each time.
        rate: of a replay, most events a second, None for no limit.
        expected: of a replay, size, checksum and events of input files by their manifests, by path or URL.
        counted: events in all of them by the manifests; None if a file is in no manifest.
        names: pairs of a path and the name of that file in rejects and keys, such as a copy of standard input.
        beam: options of Beam.
    """

    config: tuple[str, ...]
    input: tuple[str, ...]
    input_format: InputFormat = "auto"
    rejects: str | None = None
    ledger: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    preview: str | None = None
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    wait: bool = False
    debug: bool = False
    run_id: str = ""
    rate: float | None = None
    expected: Mapping[str, Expected] = field(default_factory=dict)
    counted: int | None = None
    names: tuple[tuple[str, str], ...] = ()
    strict: bool = False
    beam: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of an export."""
    add = parser.add_argument
    add_config_argument(parser)
    about = "format of the input (default: detected); `rejects` re-sends what earlier jobs rejected"
    add_job_arguments(parser, INPUT_FORMATS, about)
    add(
        "--preview",
        metavar="DIR",
        type=as_output,
        help="dry run: send nothing; write the output of each exporter to DIR/EXPORTER.json or .tab, or all output to "
        "standard output if DIR is -",
    )
    add(
        "--max_attempts",
        metavar="N",
        type=checked(read_count),
        default=DEFAULT_MAX_ATTEMPTS,
        help="with --input_format rejects: hold back rejects after N attempts (default: 10)",
    )


def parse_export(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ExportOptions:
    """The options in `arguments`, by a parser that has those of `add_arguments`.

    Raises:
        UsageError: a misspelt option, an argument that belongs to no option, or options that contradict each other.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, beam = parse_arguments(parser, arguments)
    if not known.config:
        raise UsageError("--config is missing; name Dovecot's configuration, as in --config /etc/dovecot/dovecot.conf")
    _check_rejects_input(known)
    _check_pipes(known)
    return ExportOptions(**values_of(known, ExportOptions.__slots__), beam=beam)


def _check_pipes(known: argparse.Namespace) -> None:
    read = [*(("--config", path) for path in known.config), *(("--input", path) for path in known.input)]
    written = [("--preview", known.preview), ("--ledger", known.ledger), ("--rejects", known.rejects)]
    problem = check_pipes(read, written, refused=["--rejects"])
    if problem:
        raise UsageError(problem)


def _check_rejects_input(known: argparse.Namespace) -> None:
    """Refuses options that have no effect with rejects, or only with rejects."""
    # Rejects were selected by the earlier job; a payload has no time any more by which to select it again.
    if known.input_format != "rejects":
        if known.max_attempts != DEFAULT_MAX_ATTEMPTS:
            raise UsageError("--max_attempts is for rejects; add --input_format rejects, or leave it out")
    elif known.start_time is not None or known.end_time is not None:
        raise UsageError("--start_time and --end_time do not go with rejects, which are sent whatever their time is")
