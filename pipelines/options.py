"""The options of `dovebeam export`, read and checked; light, since `--help` must answer at once.

Names are Beam's snake_case. What is not ours is left for Beam, but a near miss of ours is an error: Beam ignores what
it does not know, and a job without its `--rejects` is not what anybody meant.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from dovebeam.transforms.errors import closest_name

__all__ = [
    "DEFAULT_MAX_LINE_BYTES",
    "INPUT_FORMATS",
    "ExportOptions",
    "InputFormat",
    "UsageError",
    "add_arguments",
    "parse_export",
]

InputFormat = Literal["auto", "json", "tab-text", "avro", "rejects"]
INPUT_FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)
DEFAULT_MAX_LINE_BYTES: Final = 16 * 1024 * 1024
DEFAULT_MAX_ATTEMPTS: Final = 10

_USEC: Final = 1_000_000
_NUMBERS: Final = ("--start_time", "--end_time", "--max_line_bytes", "--max_attempts")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNIX = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_SIZE = re.compile(r"([0-9]{1,12})([kmg]?)", re.IGNORECASE)
_FACTORS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class UsageError(Exception):
    """A command line that cannot be meant; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What `dovebeam export` is asked to do.

    Attributes:
        config: configuration files, in their order.
        input: patterns of input files.
        input_format: one of `INPUT_FORMATS`; "rejects" sends what earlier jobs rejected.
        max_attempts: with "rejects", how often anything is tried over all jobs.
        rejects: where rejects go, a path or URL; None lets a job with rejects fail.
        ledger: file for the ledger as JSON, None for none.
        start_time: first event time that is wanted, microseconds since 1970; None for no limit.
        end_time: first event time that is not wanted any more; None for no limit.
        preview: directory that gets every exporter's output instead of its target; None delivers for real.
        max_line_bytes: longer lines are rejected.
        wait: whether to wait for a job that runs elsewhere.
        debug: whether errors show tracebacks, and the log everything.
        run_id: what the run is called, in names of files; empty for a name that the same command has each time.
        only_exporter: of a replay, the exporters that get anything; empty for all.
        rate: of a replay, events a second at most, None for no limit.
        beam: the options that are Beam's.
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
    only_exporter: tuple[str, ...] = ()
    rate: float | None = None
    beam: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of an export."""
    add = parser.add_argument
    add("--config", metavar="FILE", action="append", default=[], help="Dovecot's configuration; again to add one")
    add("--input", metavar="PATTERN", action="append", default=[], help="files of events, local or gs://; again")
    add(
        "--input_format",
        choices=INPUT_FORMATS,
        default="auto",
        help="what the input is (default: told by content); `rejects` sends again what earlier jobs rejected",
    )
    add("--rejects", metavar="PATH", help="JSON lines of what was rejected; without it, a reject fails the job")
    add("--ledger", metavar="FILE", help="write the account of all events as JSON, too")
    add("--start_time", metavar="T", type=_checked(_time), help="only events from then on: RFC 3339 or Unix seconds")
    add("--end_time", metavar="T", type=_checked(_time), help="only events before then")
    add("--preview", metavar="DIR", help="write every exporter's output to DIR/EXPORTER.json or .tab, send nothing")
    add(
        "--max_line_bytes",
        metavar="SIZE",
        type=_checked(_size),
        default=DEFAULT_MAX_LINE_BYTES,
        help="reject longer lines (default: 16M)",
    )
    add(
        "--run_id",
        metavar="NAME",
        default="",
        help="what this run is called in names of files (default: same command, same name)",
    )
    add(
        "--max_attempts",
        metavar="N",
        type=_checked(_count),
        default=DEFAULT_MAX_ATTEMPTS,
        help="of rejects that are sent again, hold back what was tried N times (default: 10)",
    )
    add("--wait", action="store_true", help="wait for a job that another machine runs")
    add("--debug", action="store_true", help="show tracebacks and the whole log")


def parse_export(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ExportOptions:
    """The options in `arguments`, by a parser that has those of `add_arguments`.

    Raises:
        UsageError: a misspelt option, an argument that belongs to no option, or options that contradict each other.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, beam = parser.parse_known_args(_with_values_joined(arguments))
    ours = [option for action in parser._actions for option in action.option_strings]
    _check_unknown(beam, ours)
    if not known.config:
        raise UsageError("--config is missing; name Dovecot's configuration, as in --config /etc/dovecot/dovecot.conf")
    if not known.input:
        raise UsageError("--input is missing; name files of events, as in --input 'events*.json'")
    if known.start_time is not None and known.end_time is not None and known.start_time >= known.end_time:
        raise UsageError("--end_time must be after --start_time, since no event could be in between")
    _check_rejects_input(known)
    given = vars(known)
    values = {name: given[name] for name in ExportOptions.__slots__ if name in given}
    values["config"], values["input"] = tuple(known.config), tuple(known.input)
    for name in ("config", "input", "rejects", "ledger", "preview"):
        given = values[name]
        if given == "" or (isinstance(given, tuple) and not all(given)):
            raise UsageError(f"--{name} is empty; give it a value or leave it out")
    _check_run_id(known.run_id)
    return ExportOptions(**values, beam=tuple(beam))


def _check_run_id(run_id: str) -> None:
    if run_id:
        from dovebeam.transforms.errors import DriverSettingError  # noqa: PLC0415  not for --help
        from dovebeam.transforms.shards.layout import check_run_id  # noqa: PLC0415

        try:
            check_run_id(run_id)
        except DriverSettingError as error:
            raise UsageError(f"--run_id: {error.message}") from None


def _check_rejects_input(known: argparse.Namespace) -> None:
    """What means nothing for rejects, which are no events any more, or for anything else."""
    if known.input_format != "rejects":
        if known.max_attempts != DEFAULT_MAX_ATTEMPTS:
            raise UsageError("--max_attempts is for rejects; add --input_format rejects, or leave it out")
    elif known.start_time is not None or known.end_time is not None:
        raise UsageError("--start_time and --end_time do not go with rejects, which are sent whatever their time is")


def _with_values_joined(arguments: Sequence[str]) -> list[str]:
    """A negative number is no option: `--start_time -5` gets the clear error of its own check."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in _NUMBERS and argument[:1] == "-":
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _check_unknown(unknown: Sequence[str], ours: Sequence[str]) -> None:
    """Refuses what looks like one of our options, and values that follow none.

    Beam's own names are looked at only for a suspect, since that takes Beam.
    """
    previous = ""
    for argument in unknown:
        if argument.startswith("-"):
            name = argument.partition("=")[0]
            near = closest_name(name, ours) if name.startswith("--") else ""
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
    from dovebeam.pipelines.beam_options import known_option_names  # noqa: PLC0415  imports Beam

    return name in known_option_names()


def _checked(read: Callable[[str], int]) -> Callable[[str], int]:
    """For argparse: a ValueError's own text is the message."""

    def checked(text: str) -> int:
        try:
            return read(text)
        except (ValueError, OverflowError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _time(text: str) -> int:
    """Microseconds since 1970."""
    if _UNIX.fullmatch(text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * _USEC + int(fraction.ljust(6, "0") or 0)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        example = "write a time such as 2026-11-22T08:00:00Z, or seconds since 1970"
        raise ValueError(f"{text!r} is no time; {example}") from None
    if moment.tzinfo is None:
        raise ValueError(
            f"{text!r} does not say in which zone; write {moment.isoformat()}Z for UTC, or +01:00 and so on"
        )
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _count(text: str) -> int:
    """A number of times."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{text!r} is no number of times; write 1 or more")
    return int(text)


def _size(text: str) -> int:
    """Bytes; Dovecot's units, K being 1024."""
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _FACTORS[match[2].lower()] if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is no size; write a number of bytes, or such as 512K or 16M")
    return size
