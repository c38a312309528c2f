"""The picture in README.md and on the site's first page: a real run shows the same today, and it needs no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs.markdown_pages import links_of

from sitetools import picture
from support.pages.documents import ROOT

MENDED_BY = "the picture is stale; `make picture` draws it again"


def drawn(svg: str) -> Iterator[tuple[str, str]]:
    """Each text of a picture with its style; where it is drawn depends on the version of rich."""
    root = ElementTree.fromstring(svg)
    styles = dict(re.findall(r"\.(\S+) \{ (.+) \}", "".join(text for text in root.itertext() if "{" in text)))
    for each in root.iter("{http://www.w3.org/2000/svg}text"):
        yield (each.text or "").replace("\xa0", " "), styles[each.attrib["class"]]


def test_a_real_export_shows_the_picture(tmp_path: Path) -> None:
    """The picture has every word and colour that a terminal shows of the export as it is now."""
    assert list(drawn(picture.PICTURE.read_text("utf-8"))) == list(drawn(picture.draw(picture.record(tmp_path)))), (
        MENDED_BY
    )
    rejects = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert len(rejects) == 4  # as the picture says


def test_it_fits_a_terminal() -> None:
    """The picture has no more lines and columns than a usual terminal, and shows the whole account."""
    words = [text for text, _ in drawn(picture.PICTURE.read_text("utf-8"))]
    lines = re.findall(r'id="dovebeam-line-\d+"', picture.PICTURE.read_text("utf-8"))
    assert len(lines) <= picture.LINES
    assert max(map(len, words)) <= picture.COLUMNS
    assert {"metric", "exporter", "rejected because"} <= {word for text in words for word in re.split(r"  +", text)}


def test_it_loads_nothing() -> None:
    """A browser that shows the picture asks no other host for a font, an image or a style."""
    svg = picture.PICTURE.read_text("utf-8")
    assert not re.search(r"@font-face|@import|href|src[=:]|<script|<image|<!ENTITY|url\((?!#)", svg)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_pages_show_it(page: str) -> None:
    """Both first pages have the picture, with a text for readers who do not see it."""
    shown = [link for link in links_of(page) if ROOT / link.file == picture.PICTURE]
    assert len(shown) == 1
    (alt,) = re.findall(r"!\[([^\]]*)\]\([^)]*export\.svg\)", (ROOT / page).read_text("utf-8"))
    assert len(alt.split()) > 8
