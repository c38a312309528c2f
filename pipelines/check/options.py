"""Command-line options of `dovebeam check`; a light module, since `--help` must answer at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dovebeam.pipelines.export.options import INPUT_FORMATS, InputFormat
from dovebeam.pipelines.options.arguments import add_config_argument, check_pipes, checked, read_count
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = ["CheckOptions", "add_arguments", "parse_check"]


_EVENT_SUFFIXES: Final = (".json", ".jsonl", ".tab", ".log", ".avro", ".gz", ".zst")
_MAX_PATH_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Options of one `dovebeam check`.

    Attributes:
        config: configuration files; later ones override.
        local: whether the job that they are for runs on this machine.
        format: of the report.
        input: patterns of local files of events to try the metrics on.
        input_format: format of these files, "auto" to detect it.
        event: single events, as JSON lines or as tab-text.
        metric: block names of the metrics to try; empty for all.
        explain: whether to show how often each comparison was true.
        max_events: most events to read from the input, None for all.
        names: pairs of a path and the name that reports give it, such as a copy of standard input.
        strict: whether something of a later Dovecot is an error.
    """

    config: tuple[str, ...]
    local: bool = True
    format: Literal["text", "json"] = "text"
    input: tuple[str, ...] = ()
    input_format: InputFormat = "auto"
    event: tuple[str, ...] = ()
    metric: tuple[str, ...] = ()
    explain: bool = False
    max_events: int | None = None
    names: tuple[tuple[str, str], ...] = ()
    strict: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    # Rejects are records about events, not events that a filter could be tried on.
    formats = [name for name in INPUT_FORMATS if name != "rejects"]
    add_config_argument(parser)
    add(
        "--for",
        dest="place",
        choices=("local", "remote"),
        default="local",
        help="where the job runs: local is this machine (default), remote is a cluster such as Dataflow",
    )
    add("--format", choices=("text", "json"), default="text", help="format of the report: text (default) or JSON")
    add(
        "--input",
        metavar="PATTERN",
        action="append",
        default=[],
        help="local files of events to try the metrics on, or - for standard input; can be repeated",
    )
    add("--input_format", choices=formats, default="auto", help="format of the input (default: detected)")
    add(
        "--event",
        metavar="LINE",
        action="append",
        default=[],
        help="an event as JSON or tab-text: shows which metrics match it, and why",
    )
    add("--metric", metavar="NAME", action="append", default=[], help="try only this metric; can be repeated")
    add("--explain", action="store_true", help="with --input: show how often each comparison of a filter was true")
    add("--max_events", metavar="N", type=checked(read_count), help="read at most N events from the input")
    add("--debug", action="store_true", help=argparse.SUPPRESS)


def _refuse_unknown(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> None:
    """Refuses arguments that belong to no option; a file without one was meant for `--config` or `--input`.

    Raises:
        UsageError: an argument that is not an option, so probably a file.
        SystemExit: an option that does not exist.
    """
    if not unknown:
        return
    first = unknown[0]
    if first.startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    # The option that the file's name suggests comes first in the message.
    ours, other = "--config", "--input"
    if not first.endswith(".conf") and first.endswith(_EVENT_SUFFIXES):
        ours, other = other, ours
    kinds = {"--config": "a configuration", "--input": "a file of events"}
    raise UsageError(
        f"{first!r} belongs to no option; {kinds[ours]} is given as {ours} {first}, {kinds[other]} as {other} {first}"
    )


def _check_event(line: str) -> None:
    """Refuses the path of a file in place of an event.

    Raises:
        UsageError: `line` is a path.
    """
    # curl's users write @FILE for the content of a file. Long lines and NUL bytes are not paths, and `exists` would
    # raise for some of them.
    path = line.removeprefix("@")
    if len(line) <= _MAX_PATH_CHARS and "\0" not in line and (line.startswith("@") or os.path.exists(path)):
        raise UsageError(
            f"--event takes an event itself, as a line of JSON or tab-text, and {line} is a file: write --input {path}"
        )


def parse_check(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> CheckOptions:
    """The options in `arguments`, by a parser that has those of `add_arguments`.

    Raises:
        UsageError: options that contradict each other, or an empty value.
        SystemExit: argparse itself found an error, or printed the help.
    """
    known, unknown = parser.parse_known_args(arguments)
    _refuse_unknown(parser, unknown)
    if not known.config:
        raise UsageError("--config is missing; name Dovecot's configuration, as in --config /etc/dovecot/dovecot.conf")
    for name in ("config", "input", "event", "metric"):
        if not all(getattr(known, name)):
            raise UsageError(f"--{name} is empty; give it a value or leave it out")
    for line in known.event:
        _check_event(line)
    if not known.input:
        for name in ("explain", "max_events"):
            if getattr(known, name):
                raise UsageError(f"--{name} needs files of events; add --input FILE (--event explains by itself)")
    read = [*(("--config", path) for path in known.config), *(("--input", path) for path in known.input)]
    problem = check_pipes(read, [])
    if problem:
        raise UsageError(problem)
    if known.metric and not known.input and not known.event:
        raise UsageError("--metric needs events; add --input FILE or --event LINE")
    return CheckOptions(
        tuple(known.config),
        known.place == "local",
        known.format,
        tuple(known.input),
        known.input_format,
        tuple(known.event),
        tuple(known.metric),
        known.explain,
        known.max_events,
        strict=known.strict,
    )
