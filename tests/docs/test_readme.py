"""README.md is short, and begins like the site's first page."""

from __future__ import annotations

import re

from support.pages.documents import ROOT, blocks_of

MOST_WORDS = 700
README = (ROOT / "README.md").read_text("utf-8")
INDEX = (ROOT / "docs/index.md").read_text("utf-8")


def test_it_is_short() -> None:
    """It has less than 700 words, as `wc -w` counts them; more belongs into docs/."""
    assert len(README.split()) < MOST_WORDS


def test_both_first_pages_have_one_benefit() -> None:
    """README.md and the index of the site begin with the same sentence, which names what dovebeam is for."""
    first, benefit, picture, *_ = README.split("\n\n")
    assert INDEX.split("\n\n")[:2] == [first, benefit]
    assert all(word in benefit for word in ("Dovecot", "`dovecot.conf`", "retries", "Beam"))
    assert picture.startswith("![")
    assert INDEX.split("\n\n")[2] == picture.replace("docs/images/", "images/")


def test_sections_in_the_order_of_a_first_hour() -> None:
    """Installation comes before the first export, reasons after it, and links last."""
    titles = [line[3:] for line in README.splitlines() if line.startswith("## ")]
    wanted = [
        "Install",
        "First export",
        "Why not Dovecot's own exporter?",
        "Sources and targets",
        "Guarantees",
        "Read on",
    ]
    assert titles == wanted
    assert "[Apache-2.0](LICENSE)" in README.splitlines()[-1]


def test_first_export_is_short() -> None:
    """The first export needs a few lines of configuration and one command, and shows what that prints."""
    section = README.partition("\n## First export\n")[2].partition("\n## ")[0]
    config, command, output = (block for block in blocks_of("README.md") if block.text in section)
    assert (config.language, command.language, output.language) == ("conf", "sh", "text")
    assert len(command.text.splitlines()) == 1
    assert sum(" = " in line for line in config.text.splitlines()) <= 8
    assert output.text.startswith("events\nread")


def test_numbers_are_those_that_were_measured() -> None:
    """Each figure of speed is on the page that says how it was measured; none is invented."""
    (told,) = (part for part in README.split("\n\n") if part.startswith("**Speed**"))
    measured = (ROOT / "docs/performance.md").read_text("utf-8")
    figures = re.findall(r"[0-9]+[.,][0-9]+", told)
    assert len(figures) == 6
    assert [figure for figure in figures if figure not in measured] == []
