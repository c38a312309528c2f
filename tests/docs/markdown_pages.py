"""Markdown pages as GitHub shows them: their headings' anchors, and where their links lead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from support.pages.documents import ROOT

HOSTS = {
    "beam.apache.org": "the documentation of Apache Beam",
    "doc.dovecot.org": "what Dovecot itself says of its event export",
    "keepachangelog.com": "the form of CHANGELOG.md",
    "fluentbit.io": "what users may come from",
    "semver.org": "the meaning of version numbers",
    "vector.dev": "what users may come from",
}
"""Hosts of other people that pages link to. Tests cannot go there: whoever adds one has looked."""


class Link(NamedTuple):
    """A link of a page.

    Attributes:
        page: where it stands, relative to the project's folder.
        line: of its paragraph, from 1.
        target: as it is written.
    """

    page: str
    line: int
    target: str

    @property
    def is_external(self) -> bool:
        """Whether it leads to another host."""
        return bool(urlsplit(self.target).scheme)

    @property
    def file(self) -> str:
        """The file that it leads to, relative to the project's folder."""
        path = unquote(urldefrag(self.target)[0])
        return os.path.normpath(os.path.join(os.path.dirname(self.page), path)) if path else self.page

    @property
    def anchor(self) -> str:
        """The part of it, empty for the whole file."""
        return unquote(urldefrag(self.target)[1])


def links_of(page: str) -> Iterator[Link]:
    """All links and images of a page."""
    for token in _tokens(page):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield Link(page, token.map[0] + 1 if token.map else 0, str(target))


@cache
def anchors_of(page: str) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    tokens = _tokens(page)
    found: set[str] = set()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            words = "".join(child.content for child in token.children or [])
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            count = sum(re.fullmatch(rf"{re.escape(slug)}(-[0-9]+)?", known) is not None for known in found)
            found.add(f"{slug}-{count}" if count else slug)
    return frozenset(found)


@cache
def _tokens(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text("utf-8"))


def exists(path: str) -> bool:
    """Whether there is such a file or folder in the project."""
    return not path.startswith("..") and Path(ROOT / path).exists()
