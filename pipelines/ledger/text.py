"""The ledger for people."""

from __future__ import annotations

from typing import Final, TextIO

from dovebeam.pipelines.ledger.ledger import Ledger
from dovebeam.pipelines.terminal.tables import Table, number, printable, show_tables, text_of

__all__ = ["event_table", "ledger_text", "show_ledger"]

_MAX_TARGET_CHARS: Final = 60


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
    exporters = [
        (
            exporter.name,
            exporter.driver,
            number(exporter.formatted),
            number(exporter.delivered),
            number(exporter.rejected),
            number(exporter.delivered_bytes),
            _shortened(exporter.target),
        )
        for exporter in ledger.exporters
    ]
    reasons = [(printable(reason), number(count)) for reason, count in ledger.reasons.items()]
    heads = ("exporter", "driver", "formatted", "delivered", "rejected", "bytes", "to")
    return [
        event_table(ledger),
        Table(("metric", "exporter", "matched"), frozenset({2}), metrics),
        Table(heads, frozenset({2, 3, 4, 5}), exporters),
        Table(("rejected because", ""), frozenset({1}), reasons),
    ]


def _shortened(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _MAX_TARGET_CHARS else f"...{text[3 - _MAX_TARGET_CHARS :]}"
