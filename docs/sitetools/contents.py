"""The navigation of the site, from the lists of links in index pages: one table of contents, not two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_index", "sections", "toctrees"]

_HEADING = re.compile(r"## (.+)")
_ENTRY = re.compile(r"- \[[^\]\n]*\]\(([^)#\s:]+)\.md\)")


def is_index(page: str, docs: Path) -> bool:
    """Whether a page lists other pages: it is called `index`, or a folder beside it has its name."""
    return page.rpartition("/")[2] == "index" or (docs / page).is_dir()


def sections(index: str) -> Iterator[tuple[str, list[str]]]:
    """Each heading of the text, with the pages that its list links to first in a line."""
    heading, pages = "", list[str]()
    for line in [*index.splitlines(), "## end"]:
        if found := _HEADING.fullmatch(line):
            if pages:
                yield heading, pages
            heading, pages = found[1], []
        elif found := _ENTRY.match(line):
            pages.append(found[1])


def toctrees(index: str) -> str:
    """The same as MyST's directives, to be put behind the text."""
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{chr(10).join(pages)}\n```\n"
        for heading, pages in sections(index)
    )
