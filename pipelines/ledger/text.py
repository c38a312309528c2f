"""The ledger for people."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, TextIO

from dovebeam.pipelines.ledger.ledger import ExporterAccount, Ledger
from dovebeam.pipelines.terminal.tables import Table, number, printable, show_tables, text_of

__all__ = ["event_table", "ledger_text", "show_ledger"]

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
