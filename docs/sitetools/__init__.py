"""The Sphinx extension of the site: navigation and generated reference; see `docs/conf.py`.

It changes the text of pages when they are read, and writes no file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from sitetools import contents, links, reference
from sitetools.dovecot_conf import DovecotConf

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension with Sphinx."""
    app.connect("source-read", _read)
    app.add_lexer("conf", DovecotConf)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    """Called with the name of a page and the list that holds its text."""
    text = links.page_instead(source[0], Path(app.srcdir))
    text = links.within_site(text, page)
    text = reference.filled(text, page)
    if contents.is_index(page, Path(app.srcdir)):
        text += contents.toctrees(text)
    source[0] = text
