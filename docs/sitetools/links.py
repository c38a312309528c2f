"""Links of pages that lead out of docs/ on GitHub: on the site they lead to pages of the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Final

__all__ = ["page_instead", "within_site"]

PAGES: Final = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top of the project, and the pages below docs/ that are the same on the site."""

_INSTEAD = re.compile(r"<!-- instead: \.\./([A-Z]+\.md) -->")
_LINK = re.compile(r"\]\(([^)#\s:]+\.md)(#[^)\s]*)?\)")


def page_instead(text: str, docs: Path) -> str:
    """The file that a page stands for, if it says so in a comment, with its links as from docs/; else the page."""
    found = _INSTEAD.search(text)
    if not found:
        return text
    return _LINK.sub(
        lambda link: f"]({posixpath.relpath(link[1], 'docs')}{link[2] or ''})",
        (docs.parent / found[1]).read_text("utf-8"),
    )


def within_site(text: str, page: str) -> str:
    """The page's text with links to `PAGES` instead of to files outside docs/."""
    folder = posixpath.dirname(f"docs/{page}")

    def replaced(link: re.Match[str]) -> str:
        target = PAGES.get(posixpath.normpath(posixpath.join(folder, link[1])))
        if target is None:
            return link[0]
        return f"]({posixpath.relpath(f'docs/{target}', folder)}{link[2] or ''})"

    return _LINK.sub(replaced, text)
