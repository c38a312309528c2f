"""A built site as a test sees it: pages, the ids in them, and where their links lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit


@dataclass
class Page(HTMLParser):
    """One page.

    Attributes:
        path: below the site's directory.
        ids: what links can lead to.
        links: of `a`, `link`, `img` and `script`, as they stand there.
        text: what a reader sees.
    """

    path: str
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects ids and links."""
        values: Mapping[str, str] = {name: value or "" for name, value in attrs}
        self.ids.update(value for name, value in values.items() if name == "id" or (tag == "a" and name == "name"))
        self.links += [values[name] for name in ("href", "src") if name in values]

    def handle_data(self, data: str) -> None:
        """Collects text."""
        self.text += data

    def targets(self) -> list[tuple[str, str]]:
        """The links that stay on the site: paths below its directory, and ids."""
        here = [link for link in self.links if not urlsplit(link).scheme and not link.startswith("//")]
        return [(unquote(path) or self.path, unquote(anchor)) for path, anchor in map(urldefrag, self._whole(here))]

    def _whole(self, links: list[str]) -> list[str]:
        return [urljoin(self.path, link) if not link.startswith("#") else f"{self.path}{link}" for link in links]


def read_site(folder: Path) -> dict[str, Page]:
    """All pages below a directory."""
    site = {}
    for path in sorted(folder.rglob("*.html")):
        page = Page(str(path.relative_to(folder)))
        page.feed(path.read_text("utf-8"))
        site[page.path] = page
    return site
