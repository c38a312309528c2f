"""The ledger for people: its tables, and messages about what is wrong and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, TextIO

from dovebeam.pipelines.ledger.ledger import ExporterAccount, Ledger
from dovebeam.pipelines.terminal.tables import Table, number, printable, show_tables, text_of
from dovebeam.transforms.local_files import is_url

__all__ = [
    "damage_text",
    "event_table",
    "ledger_text",
    "rejects_text",
    "show_ledger",
    "unmatching_metrics_text",
]

_SHOWN_REASONS: Final = 10
_SHOWN_FILES: Final = 100
_SHOWN_INPUTS: Final = 5  # a replay has one for each file of its archive
_SHOWN_METRICS: Final = 10
_MAX_TARGET_CHARS: Final = 60
_COUNTS: Final = MappingProxyType(
    {
        "formatted": "formatted",
        "queued_before": "queued before",
        "delivered": "delivered",
        "rejected": "rejected",
        "waiting": "waiting",
        "delivered_bytes": "bytes",
    }
)
"""Heads of columns by the attributes of `ExporterAccount`."""

_OF_QUEUES: Final = frozenset({"queued_before", "waiting"})


def show_ledger(ledger: Ledger, out: TextIO | None = None) -> None:
    """Prints the ledger, by default on standard output; in colour if that is a terminal."""
    show_tables(_tables(ledger), out)


def ledger_text(ledger: Ledger) -> str:
    """The ledger as aligned columns."""
    return text_of(_tables(ledger))


def event_table(ledger: Ledger) -> Table:
    """What became of all events that were read."""
    rows = [
        ("read", number(ledger.read)),
        ("matched", number(ledger.matched)),
        ("unmatched", number(ledger.unmatched)),
        ("out of range", number(ledger.out_of_range)),
        ("rejected", number(ledger.undecodable)),
    ]
    if ledger.resent or ledger.held_back:
        rows += [("sent again", number(ledger.resent)), ("held back", number(ledger.held_back))]
    if ledger.nul_bytes:
        rows.append(("NUL bytes skipped", number(ledger.nul_bytes)))
    return Table(("events", ""), frozenset({1}), rows)


def _tables(ledger: Ledger) -> list[Table]:
    metrics = [(metric.name, metric.exporter, number(metric.matched)) for metric in ledger.metrics]
    reasons = [(printable(reason), number(count)) for reason, count in ledger.reasons.items()]
    return [
        event_table(ledger),
        Table(("metric", "exporter", "matched"), frozenset({2}), metrics),
        _exporter_table(ledger.exporters),
        Table(("rejected because", ""), frozenset({1}), reasons),
        Table(
            ("left out, something of a later Dovecot",), frozenset(), [(printable(name),) for name in ledger.left_out]
        ),
    ]


def _exporter_table(exporters: Sequence[ExporterAccount]) -> Table:
    """What became of the payloads of each exporter; with its queue only where something was in one."""
    has_queues = any(exporter.waiting or exporter.queued_before for exporter in exporters)
    counts = [name for name in _COUNTS if has_queues or name not in _OF_QUEUES]
    rows = [
        (each.name, each.driver, *(number(getattr(each, name) or 0) for name in counts), _shortened(each.target))
        for each in exporters
    ]
    heads = ("exporter", "driver", *(_COUNTS[name] for name in counts), "to")
    return Table(heads, frozenset(range(2, 2 + len(counts))), rows)


def _shortened(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _MAX_TARGET_CHARS else f"...{text[3 - _MAX_TARGET_CHARS :]}"


def damage_text(damaged: Sequence[str]) -> str:
    """What to tell about files that were not read whole, and what to do."""
    names = "".join(f"\n  {printable(name)}" for name in damaged[:_SHOWN_FILES])
    more = f"\n  and {len(damaged) - _SHOWN_FILES} more, which --ledger names" if len(damaged) > _SHOWN_FILES else ""
    return (
        f"{len(damaged)} of the input files are damaged; what cannot be read of them was rejected. Restore them, for "
        f"example from a backup, and run again:{names}{more}"
    )


def rejects_text(ledger: Ledger) -> str:
    """What to tell about rejects that are in no output, and what to do."""
    reasons = "".join(
        f"\n  {count:,} times: {reason}" for reason, count in list(ledger.reasons.items())[:_SHOWN_REASONS]
    )
    return (
        f"{ledger.rejected:,} of what was read or formatted could not be decoded or delivered and is in no output; "
        f"everything else is.{reasons}\nRepair the cause, or keep them with --rejects FILE, and run again."
    )


def unmatching_metrics_text(ledger: Ledger, config: Sequence[str], inputs: Sequence[str]) -> str:
    """Names of the metrics that matched no event, with the command that shows why; empty if there are none.

    Args:
        ledger: of a job that came to its end.
        config: its configuration files.
        inputs: its patterns of input files.
    """
    names = [metric.name for metric in ledger.metrics if not metric.matched]
    events = ledger.matched + ledger.unmatched
    if not names or not events:
        return ""
    more = f" and {len(names) - _SHOWN_METRICS:,} more" if len(names) > _SHOWN_METRICS else ""
    options = [*(f"--config={path}" for path in config), *(f"--input={pattern}" for pattern in inputs)]
    metrics = [f"--metric={name}" for name in names[:_SHOWN_METRICS]] if not more else []
    local = len(inputs) <= _SHOWN_INPUTS and not any(map(is_url, inputs))
    command = (
        shlex.join(["dovebeam", "check", *options, "--explain", *metrics]) if local else "dovebeam check --explain"
    )
    return (
        f"warning: {'this metric' if len(names) == 1 else 'these metrics'} matched none of {events:,} events: "
        f"{', '.join(names[:_SHOWN_METRICS])}{more}; to see why: {command}"
    )
