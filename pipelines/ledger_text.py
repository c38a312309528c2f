"""The ledger for people: aligned text for pipes and files, the same with some colour on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, TextIO

from dovebeam.pipelines.ledger import Ledger

__all__ = ["ledger_text", "show_ledger"]

_GAP: Final = "  "
_MAX_TARGET_CHARS: Final = 60


class _Table(NamedTuple):
    """A table; the columns at `numbers` are aligned to the right."""

    heads: tuple[str, ...]
    numbers: frozenset[int]
    rows: Sequence[tuple[str, ...]]


def show_ledger(ledger: Ledger, out: TextIO | None = None) -> None:
    """Prints the ledger, by default on standard output; in colour if that is a terminal."""
    out = sys.stdout if out is None else out
    if out.isatty():
        _show_rich(ledger, out)
    else:
        out.write(ledger_text(ledger))
    out.flush()


def ledger_text(ledger: Ledger) -> str:
    """The ledger as aligned columns."""
    return "\n".join("".join(f"{line}\n" for line in _lines(table)) for table in _tables(ledger))


def _tables(ledger: Ledger) -> list[_Table]:
    events = [
        ("read", _number(ledger.read)),
        ("matched", _number(ledger.matched)),
        ("unmatched", _number(ledger.unmatched)),
        ("out of range", _number(ledger.out_of_range)),
        ("rejected", _number(ledger.undecodable)),
    ]
    if ledger.resent or ledger.held_back:
        events += [("sent again", _number(ledger.resent)), ("held back", _number(ledger.held_back))]
    metrics = [(metric.name, metric.exporter, _number(metric.matched)) for metric in ledger.metrics]
    exporters = [
        (
            exporter.name,
            exporter.driver,
            _number(exporter.formatted),
            _number(exporter.delivered),
            _number(exporter.rejected),
            _number(exporter.delivered_bytes),
            _shortened(exporter.target),
        )
        for exporter in ledger.exporters
    ]
    reasons = [(_printable(reason), _number(count)) for reason, count in ledger.reasons.items()]
    heads = ("exporter", "driver", "formatted", "delivered", "rejected", "bytes", "to")
    tables = [
        _Table(("events", ""), frozenset({1}), events),
        _Table(("metric", "exporter", "matched"), frozenset({2}), metrics),
        _Table(heads, frozenset({2, 3, 4, 5}), exporters),
        _Table(("rejected because", ""), frozenset({1}), reasons),
    ]
    return [table for table in tables if table.rows]


def _lines(table: _Table) -> list[str]:
    rows = [table.heads, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.heads))]
    return [_GAP.join(_aligned(row, widths, table.numbers)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> list[str]:
    return [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _show_rich(ledger: Ledger, out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, highlight=False)
    for table in _tables(ledger):
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for column, head in enumerate(table.heads):
            shown.add_column(head, justify="right" if column in table.numbers else "left", no_wrap=True)
        for row in table.rows:
            shown.add_row(*(Text(cell) for cell in row), style="red" if _tells_of_rejects(table, row) else "")
        console.print(shown)
        console.print()


def _tells_of_rejects(table: _Table, row: Sequence[str]) -> bool:
    if "rejected" in table.heads:
        return row[table.heads.index("rejected")] != "0"
    return row[0] == "rejected" and row[1] != "0"


def _number(value: int) -> str:
    return f"{value:,}"


def _shortened(text: str) -> str:
    text = _printable(text)
    return text if len(text) <= _MAX_TARGET_CHARS else f"...{text[3 - _MAX_TARGET_CHARS :]}"


def _printable(text: str) -> str:
    """Without what could steer a terminal; reasons may quote data."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
