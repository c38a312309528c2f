"""Tables for people: aligned text for pipes and files, the same with some colour on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, TextIO

from dovebeam.pipelines.terminal.standard_streams import mute_stdout
from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["Table", "number", "printable", "show_tables", "text_of"]

_GAP: Final = "  "


class Table(NamedTuple):
    """A table; the columns at `numbers` are aligned to the right."""

    heads: tuple[str, ...]
    numbers: frozenset[int]
    rows: Sequence[tuple[str, ...]]


def show_tables(tables: Sequence[Table], out: TextIO | None = None) -> None:
    """Prints tables, by default on standard output; in colour if that is a terminal. Empty ones are left out.

    Whoever closes a pipe in the middle of the tables has seen enough.

    Raises:
        DeliveryError: standard output cannot be written for another reason.
    """
    out = sys.stdout if out is None else out
    try:
        if out.isatty():
            _show_rich(tables, out)
        else:
            out.write(text_of(tables))
        out.flush()
    except BrokenPipeError:
        mute_stdout()
    except OSError as error:
        raise delivery_error("write", "standard output", error) from error


def text_of(tables: Sequence[Table]) -> str:
    """The tables as aligned columns."""
    return "\n".join("".join(f"{line}\n" for line in _lines(table)) for table in tables if table.rows)


def number(value: int) -> str:
    """With separators for thousands."""
    return f"{value:,}"


def printable(text: str) -> str:
    """Without what could steer a terminal; reasons may quote data."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _lines(table: Table) -> list[str]:
    rows = [table.heads, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.heads))]
    return [_GAP.join(_aligned(row, widths, table.numbers)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> list[str]:
    return [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _show_rich(tables: Sequence[Table], out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, highlight=False)
    for table in tables:
        if not table.rows:
            continue
        shown = RichTable(box=None, pad_edge=False, header_style="bold")
        for column, head in enumerate(table.heads):
            shown.add_column(head, justify="right" if column in table.numbers else "left", no_wrap=True)
        for row in table.rows:
            shown.add_row(*(Text(cell) for cell in row), style="red" if _tells_of_rejects(table, row) else "")
        console.print(shown)
        console.print()


def _tells_of_rejects(table: Table, row: Sequence[str]) -> bool:
    if "rejected" in table.heads:
        return row[table.heads.index("rejected")] != "0"
    return row[0] == "rejected" and row[1] != "0"
