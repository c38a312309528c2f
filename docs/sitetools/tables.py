"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["anchor_of", "code", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, of one line each."""
    lines = [tuple(head), ("---",) * len(head), *map(tuple, rows)]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def code(text: str, anchor: str = "") -> str:
    """A word in the font of code; with an anchor, links can lead to it by `anchor_of` that."""
    if not text:
        return ""
    return f"`{text}`{{#{anchor_of(anchor)}}}" if anchor else f"`{text}`"


def anchor_of(name: str) -> str:
    """The id of a name in the form that Sphinx keeps as it is."""
    return name.lower().replace("_", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
