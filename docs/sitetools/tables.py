"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["code", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, of one line each."""
    lines = [tuple(head), ("---",) * len(head), *map(tuple, rows)]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def code(text: str, anchor: str = "") -> str:
    """A word in the font of code; with an anchor, links can lead to it."""
    if not text:
        return ""
    return f"`{text}`{{#{anchor}}}" if anchor else f"`{text}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
