"""Options that the command lines of all jobs share: their definitions, types and errors.

A light module, since `--help` must answer at once. Names are in Beam's snake_case; `spellings` knows others for them.
Options that are not ours are left for Beam, but a misspelt one of ours is an error: Beam ignores what it does not know,
and the job would run without its `--rejects`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from dovebeam.pipelines.options.spellings import MixedSpellingsError, in_our_spelling, spellings_of
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.transforms.errors import closest_name

__all__ = [
    "DEFAULT_MAX_LINE_BYTES",
    "STDIN",
    "STDOUT",
    "add_config_argument",
    "add_job_arguments",
    "add_max_line_bytes_argument",
    "as_output",
    "check_named_run",
    "check_pipes",
    "checked",
    "descriptor_of",
    "parse_arguments",
    "parse_known",
    "read_count",
    "read_size",
    "respelt",
    "values_of",
]

DEFAULT_MAX_LINE_BYTES: Final = 16 * 1024 * 1024

STDIN: Final = "/dev/stdin"
"""Path that `-` stands for where something is read."""

STDOUT: Final = "-"
"""Path that stands for standard output where something is written."""

_USEC: Final = 1_000_000
# Options whose values may be mistyped with a minus sign, see `_with_values_joined`.
_NUMBERS: Final = ("--start_time", "--end_time", "--max_line_bytes", "--max_attempts")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNIX = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_SIZE = re.compile(r"([0-9]{1,12})([kmg]?)", re.IGNORECASE)
# Dovecot's size settings count in 1024 as well.
_FACTORS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")


def add_job_arguments(parser: argparse.ArgumentParser, input_formats: Sequence[str], about_formats: str) -> None:
    """Adds the options that every job over files has.

    Args:
        parser: gets them.
        input_formats: choices of `--input_format`.
        about_formats: help text of `--input_format`.
    """
    add = parser.add_argument
    add(
        "--input",
        metavar="PATTERN",
        action="append",
        default=[],
        help="files of events, local or gs://, or - for standard input; can be repeated",
    )
    add("--input_format", choices=input_formats, default="auto", help=about_formats)
    add(
        "--rejects",
        metavar="PATH",
        help="file for rejects (dead letters), as JSON lines; without it, a reject fails the job",
    )
    add(
        "--ledger",
        metavar="FILE",
        type=as_output,
        help="file for the ledger, the account of all events, as JSON; - for standard output",
    )
    add(
        "--start_time",
        metavar="T",
        type=checked(_time),
        help="start of the time range, inclusive: RFC 3339, such as 2026-11-22T08:00:00Z, or seconds since 1970",
    )
    add(
        "--end_time",
        metavar="T",
        type=checked(_time),
        help="end of the time range, exclusive, in the same form as the start",
    )
    add_max_line_bytes_argument(parser)
    add(
        "--run_id",
        metavar="NAME",
        default="",
        help="name of the run in the names of shards (default: derived from the command and its input)",
    )
    add("--wait", action="store_true", help="wait until a remote job ends, and show its ledger")
    add("--debug", action="store_true", help="print the full log, and tracebacks of errors")


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--config`, which may be given several times, and `--strict`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        action="append",
        default=[],
        type=lambda path: STDIN if path == "-" else path,
        help="Dovecot's configuration, - for standard input; can be repeated: later files override earlier ones",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse a configuration that uses features of a later Dovecot (default: leave those blocks out)",
    )


def add_max_line_bytes_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--max_line_bytes`, a size."""
    parser.add_argument(
        "--max_line_bytes",
        metavar="SIZE",
        type=checked(read_size),
        default=DEFAULT_MAX_LINE_BYTES,
        help="reject longer lines (default: 16M)",
    )


def parse_arguments(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Our options in `arguments`, by a parser that has those of `add_job_arguments`, and what is left for Beam.

    Raises:
        UsageError: a misspelt option, an argument that belongs to no option, or an invalid value.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, beam = parse_known(parser, arguments)
    # A tuple, because the objects of options are frozen.
    known.input = tuple(known.input)
    if not known.input:
        raise UsageError("--input is missing; name files of events, as in --input 'events*.json'")
    if known.start_time is not None and known.end_time is not None and known.start_time >= known.end_time:
        raise UsageError("--end_time must be after --start_time, since no event could be in between")
    check_named_run(known.run_id)
    return known, beam


def parse_known(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Our options in `arguments`, by any parser, and what is left for Beam.

    Raises:
        UsageError: a misspelt option, an argument that belongs to no option, or an empty value.
        SystemExit: argparse itself found an error, or printed the help.
    """
    options = _options(parser)
    known, beam = parser.parse_known_args(_with_values_joined(respelt(parser, arguments)))
    _check_unknown(beam, [*options, *spellings_of(options)])
    # An empty value is mostly a shell variable that is not set. That of --run_id is its default.
    for name, value in vars(known).items():
        if name != "run_id" and (value == "" or (isinstance(value, list | tuple) and not all(value))):
            raise UsageError(f"--{name} is empty; give it a value or leave it out")
    return known, tuple(beam)


def respelt(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The command line with all spellings replaced by snake_case, see `spellings`.

    Raises:
        UsageError: an option in two spellings, or a parameter of Google's templates that does not exist here.
    """
    try:
        return in_our_spelling(arguments, _options(parser))
    except MixedSpellingsError as error:
        raise UsageError(str(error)) from None


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def values_of(known: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Parsed values of those of `names` that the parser has; lists become tuples."""
    given = vars(known)
    found = {name: given[name] for name in names if name in given}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def read_count(text: str) -> int:
    """Parses a number of at least 1."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is not a valid number; write 1 or more")
    return int(text)


def check_named_run(run_id: str) -> None:
    """Refuses a name of a run that cannot be a part of file names.

    Raises:
        UsageError: such a name.
    """
    if run_id:
        from dovebeam.transforms.errors import DriverSettingError  # noqa: PLC0415  not for --help
        from dovebeam.transforms.shards.layout import check_run_id  # noqa: PLC0415

        try:
            check_run_id(run_id)
        except DriverSettingError as error:
            raise UsageError(f"--run_id: {error.message}") from None


def _with_values_joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with negative numbers joined to their options, as in `--start_time=-5`."""
    # argparse takes -5 for an option and would complain of a missing value; joined it gets the error of its own check.
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _NUMBERS and argument[:1] == "-":
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _check_unknown(unknown: Sequence[str], ours: Sequence[str]) -> None:
    """Refuses what looks like a misspelt option of ours, and values that follow no option."""
    previous = ""
    for argument in unknown:
        if argument.startswith("-"):
            name = argument.partition("=")[0]
            near = closest_name(name, ours) if name.startswith("--") else ""
            # Beam is asked last, because its names are known only after it was imported, which takes seconds.
            if near and not _is_beams(name):
                raise UsageError(f"unknown option {name}; did you mean {near}?")
            if not name.startswith("--"):
                raise UsageError(f"unknown option {name}; all options begin with two dashes, see --help")
        elif not previous.startswith("--") or "=" in previous:
            raise UsageError(
                f"{argument!r} belongs to no option; inputs are given as --input {argument}, and a pattern in quotes, "
                "as in --input 'events*.json'"
            )
        previous = argument


def _is_beams(name: str) -> bool:
    from dovebeam.pipelines.options.beam import known_option_names  # noqa: PLC0415  imports Beam

    return name in known_option_names()


def checked(read: Callable[[str], int]) -> Callable[[str], int]:
    """A parser of values for argparse that shows the text of its ValueError."""

    def check(text: str) -> int:
        try:
            return read(text)
        except (ValueError, OverflowError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


def _time(text: str) -> int:
    """Parses a time; returns microseconds since 1970."""
    if _UNIX.fullmatch(text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * _USEC + int(fraction.ljust(6, "0") or 0)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        example = "write a time such as 2026-11-22T08:00:00Z, or seconds since 1970"
        raise ValueError(f"{text!r} is not a valid time; {example}") from None
    # The local zone is not assumed: the machine that runs the job may be in another one than the mail servers.
    if moment.tzinfo is None:
        raise ValueError(
            f"{text!r} has no time zone; write {moment.isoformat()}Z for UTC, or an offset such as +01:00 instead of Z"
        )
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def read_size(text: str) -> int:
    """Parses a size with Dovecot's units, of which K is 1024; returns bytes."""
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _FACTORS[match[2].lower()] if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is not a valid size; write a number of bytes, or for example 512K or 16M")
    return size


def descriptor_of(path: str) -> int | None:
    """File descriptor of this process that a path such as /dev/fd/3 stands for; None for other paths."""
    if path in {"-", STDIN}:
        return 0
    found = _DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else None


def as_output(path: str) -> str:
    """Path of an output; `STDOUT` for all paths of standard output."""
    return STDOUT if path in {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"} else path


def check_pipes(
    read: Sequence[tuple[str, str]], written: Sequence[tuple[str, str | None]], *, refused: Sequence[str] = ()
) -> str:
    """Message about a wrong use of standard input or output; empty if there is none.

    Args:
        read: options and their paths that are read.
        written: options and their paths that are written.
        refused: options that cannot be standard output.
    """
    # A pipe gives its bytes once, and two outputs in one would be mixed.
    taken: dict[int, str] = {}
    for option, path in read:
        descriptor = descriptor_of(path)
        if descriptor is not None:
            if descriptor in taken:
                name = "standard input" if descriptor == 0 else path
                return f"{taken[descriptor]} and {option} both read {name}, which can be read once; name a file for one"
            taken[descriptor] = option
    out = [option for option, path in written if path == STDOUT]
    for option in out:
        if option in refused:
            return f"{option} cannot be standard output; name a file"
    if len(out) > 1:
        return f"{out[0]} and {out[1]} would both be written to standard output; name a file for one of them"
    return ""
