"""Command-line options of `dovebeam replay`: those of an export, and its own."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.options.arguments import respelt
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = ["ReplayOptions", "add_replay_arguments", "parse_replay"]

_RATE: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Options of one `dovebeam replay`.

    Attributes:
        export: options that it shares with an export.
        only_exporter: exporters to send to; empty for all.
        dry_run: whether only to count what would be sent.
        only_failed: path of the ledger of an earlier run; only its incomplete exporters are sent to. None for all.
    """

    export: ExportOptions
    only_exporter: tuple[str, ...] = ()
    dry_run: bool = False
    only_failed: str | None = None


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a replay, including those of an export."""
    add_arguments(parser)
    add = parser.add_argument
    add("--dry_run", action="store_true", help="print events and bytes by exporter, metric and hour, and send nothing")
    add(
        "--rate",
        metavar="N",
        type=_rate,
        help="rate limit: read at most N events a second, all workers together",
    )
    add(
        "--only_exporter",
        metavar="NAME",
        action="append",
        default=[],
        help="send only to this exporter; can be repeated",
    )
    add(
        "--only_failed",
        metavar="LEDGER",
        help="send only to exporters that are incomplete in the ledger of an earlier run",
    )


def parse_replay(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ReplayOptions:
    """The options in `arguments`, by a parser that has those of `add_replay_arguments`.

    Raises:
        UsageError: see `parse_export`; or options of a replay that contradict each other.
        SystemExit: argparse itself found an error, or printed the help.
    """
    export = parse_export(parser, arguments)
    # Parsed a second time, since `parse_export` returns the options of an export only.
    known, _ = parser.parse_known_args(respelt(parser, arguments))
    only = tuple(known.only_exporter)
    if only and known.only_failed:
        raise UsageError("--only_exporter and --only_failed both say which exporters; give one of them")
    if known.only_failed == "" or not all(only):
        raise UsageError("--only_exporter or --only_failed is empty; give it a value or leave it out")
    if export.input_format == "rejects":
        raise UsageError(
            "--input_format rejects is for `dovebeam export`, which sends rejects again; a replay takes events"
        )
    if known.dry_run and (export.preview is not None or export.rejects is not None):
        raise UsageError("--dry_run writes nothing; leave out --preview and --rejects")
    return ReplayOptions(export, only, dry_run=known.dry_run, only_failed=known.only_failed)


def _rate(text: str) -> float:
    rate = float(text) if _RATE.fullmatch(text) else 0.0
    if rate <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid rate; write a number of events a second, as in 500")
    return rate
