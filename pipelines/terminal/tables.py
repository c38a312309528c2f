"""Tables for people: aligned text for pipes and files; on a terminal in colour and fitted to its width."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple, TextIO

from dovebeam.pipelines.terminal.standard_streams import mute_stdout
from dovebeam.transforms.drivers.base import delivery_error

__all__ = ["Table", "fitted", "number", "printable", "show_tables", "text_of"]

_GAP: Final = "  "
_USUAL_WIDTH: Final = 80
_MIN_TEXT_CHARS: Final = 12
# A piece that is never broken: a word or a folder of a path, with what follows it, at which a line may end.
_PIECE: Final = re.compile(r"(?:[^\s/]*/+|[^\s/]+)\s*|\s+")


class Table(NamedTuple):
    """A table; the columns at `numbers` are aligned to the right."""

    heads: tuple[str, ...]
    numbers: frozenset[int]
    rows: Sequence[tuple[str, ...]]


def show_tables(tables: Sequence[Table], out: TextIO | None = None) -> None:
    """Prints tables, by default on standard output; in colour if that is a terminal. Empty ones are left out.

    A pipe that its reader closes, as `head` does, is not an error.

    Raises:
        DeliveryError: standard output cannot be written for another reason.
    """
    out = sys.stdout if out is None else out
    try:
        if out.isatty():
            _show_on_terminal(tables, out)
        else:
            out.write(text_of(tables))
        out.flush()
    except BrokenPipeError:
        mute_stdout()
    except OSError as error:
        raise delivery_error("write", "standard output", error) from error


def text_of(tables: Sequence[Table]) -> str:
    """Tables as text in aligned columns."""
    return "\n".join("".join(f"{line}\n" for line in _lines(table)) for table in tables if table.rows)


def number(value: int) -> str:
    """A number with thousands separators."""
    return f"{value:,}"


def printable(text: str) -> str:
    """The text with control characters replaced."""
    # Reasons of rejects quote data of events, which could otherwise send escape sequences to a terminal.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _lines(table: Table) -> list[str]:
    rows, widths = [table.heads, *table.rows], _widths(table)
    return [_GAP.join(_aligned(row, widths, table.numbers)).rstrip() for row in rows]


def _widths(table: Table) -> list[int]:
    rows = [table.heads, *table.rows]
    return [max(len(row[column]) for row in rows) for column in range(len(table.heads))]


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: frozenset[int]) -> list[str]:
    return [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _show_on_terminal(tables: Sequence[Table], out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console, width = Console(file=out, highlight=False), _width_of(out)
    for table in tables:
        for style, line in fitted(table, width):
            console.print(Text(line, style), soft_wrap=True)
        if table.rows:
            console.print()


def _width_of(out: TextIO) -> int:
    """Width in columns of the terminal `out`."""
    try:
        return os.get_terminal_size(out.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH


def fitted(table: Table, width: int) -> Iterator[tuple[str, str]]:
    """Lines of a table that fit a terminal's width, each with its style; nothing is left out.

    A row is one line if it fits. Otherwise the last column of text is broken at spaces and slashes. If that is not
    enough, each row becomes a block with a line for each of its cells.
    """
    # Numbers are never cut: a cut number is a wrong number.
    widths = _widths(table)
    texts = [column for column in range(len(table.heads)) if column not in table.numbers]
    room = width - sum(widths) - len(_GAP) * (len(widths) - 1)
    # Columns that are empty at the right need no room, since lines end where their text does.
    if max(map(len, _lines(table))) <= width:
        room = 0
    elif room < 0 and texts:
        widths[texts[-1]] = max(widths[texts[-1]] + room, _longest_word(table, texts[-1]))
        room = width - sum(widths) - len(_GAP) * (len(widths) - 1)
    if table.rows:
        yield from _columns(table, widths, texts) if room >= 0 else _blocks(table)


def _columns(table: Table, widths: Sequence[int], texts: Sequence[int]) -> Iterator[tuple[str, str]]:
    for index, row in enumerate([table.heads, *table.rows]):
        style = "bold" if not index else _style(table, row)
        parts = [[cell] for cell in row]
        if texts:
            parts[texts[-1]] = _broken(row[texts[-1]], widths[texts[-1]])
        for line in zip_longest(*parts, fillvalue=""):
            yield style, _GAP.join(_aligned(line, widths, table.numbers)).rstrip()


def _broken(text: str, width: int) -> list[str]:
    """A text in lines that are broken at spaces and behind slashes, so that long paths fit."""
    if len(text) <= width:
        return [text]
    lines = [""]
    for piece in _PIECE.findall(text):
        if len(lines[-1]) + len(piece.rstrip()) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [line.rstrip() for line in lines]


def _blocks(table: Table) -> Iterator[tuple[str, str]]:
    for index, row in enumerate(table.rows):
        if index:
            yield "", ""
        # A table of names and values has no head for the values; its first head is the title of all blocks.
        if len(row) == 2 and not table.heads[1]:
            if not index:
                yield "bold", table.heads[0]
            yield _style(table, row), f"{row[0]}: {row[1]}"
            continue
        for head, cell in zip(table.heads, row, strict=True):
            yield _style(table, row), f"{head}: {cell}" if len(row) > 1 else cell


def _longest_word(table: Table, column: int) -> int:
    """Length of the longest piece of a column, since pieces are never broken."""
    words = (piece.rstrip() for row in [table.heads, *table.rows] for piece in _PIECE.findall(row[column]))
    return max([_MIN_TEXT_CHARS, *map(len, words)])


def _style(table: Table, row: Sequence[str]) -> str:
    return "red" if _tells_of_rejects(table, row) else ""


def _tells_of_rejects(table: Table, row: Sequence[str]) -> bool:
    if "rejected" in table.heads:
        return row[table.heads.index("rejected")] != "0"
    return row[0] == "rejected" and row[1] != "0"
