"""The words of the documents, help texts, messages, docstrings and comments: usual nouns, and no phrases that hide them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pages.documents import ROOT, pages

AVOIDED = {
    r"(?<!there) (is|are) no (?!longer|limit|retry|more|slower|faster|less)\w": "is not a (valid) ...",
    r"\b(that|which) is none\b": "is not a (valid) ...",
    r"\bonce more\b": "again; re-send, re-export",
    r"\bits begin\b|\bat the begin\b": "the start, on startup",
    r"\btold by (its|their)\b": "detected",
    r"\ban account of every\b": "every event is accounted for",
    r"\bfor ever\b|\bto no end\b": "forever, continuously",
    r"\b(cannot be|hardly) meant\b": "invalid; probably a mistake",
    r"\bspans? of (its |their |the )?time\b": "time range",
    r"\bwhat (becomes|has become|had become) of\b": "what happens to; when the target refuses",
    r"\b(runs?|jobs?|runners?) (that (is|are) )?elsewhere\b": "remote job",
    r"\b(somebody|nobody)\b|\bhis own\b": "you; someone; no one; your own",
    r"\bhas lost\b": "does not contain",
    r"\bwithout a word\b": "silently",
    r"\bown business\b": "outside dovebeam's control",
    r"\blast words\b": "totals on exit",
    r"\bworks? off\b": "processes",
    r"\bin vain\b": "without success",
    r"\bamiss\b": "wrong",
    r"\bbesides\b": "also; beside",
    r"\b(thereby|therein|thereof|hereby|whereby)\b": "so; in it",
    r"\bas they come\b": "as they arrive; continuously",
    r"\b1 times\b": "once",
    r"\bno events [0-9]": "events: ...",
}
"""Phrases that read like a translation, or hide a usual name, and what to write instead."""

TERMS = {
    "time range": "docs/replay.md",
    "dead letter": "docs/rejects.md",
    "dry run": "docs/replay.md",
    "retry": "docs/http.md",
    "backoff": "docs/http.md",
    "backpressure": "docs/streaming.md",
    "at-least-once": "docs/delivery.md",
    "exactly-once": "docs/delivery.md",
    "deduplicate": "docs/replay.md",
    "checkpoint": "docs/streaming.md",
    "validate": "docs/check.md",
    "follow": "docs/streaming.md",
    "tail -F": "docs/streaming.md",
    "re-send": "docs/rejects.md",
    "re-export": "docs/replay.md",
    "partition": "docs/files.md",
    "rotation": "docs/files.md",
    "compression": "docs/files.md",
    "batch": "docs/http.md",
    "rate limit": "docs/http.md",
    "schema": "docs/library.md",
    "throughput": "docs/performance.md",
    "latency": "docs/performance.md",
    "watermark": "docs/windows.md",
    "window": "docs/windows.md",
}
"""Names under which readers look for a feature, and the page on it."""

SOURCES = ("transforms", "pipelines", "templates", "docs")


def phrases_in(text: str) -> list[str]:
    """The avoided phrases of a text, each with its line and what to write instead."""
    found = []
    for pattern, instead in AVOIDED.items():
        for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{line}: {' '.join(match[0].split())!r}; write: {instead}")
    return found


def prose_of(page: str) -> str:
    """A page without its blocks of code and words in the font of code; lines keep their numbers."""
    text = (ROOT / page).read_text("utf-8")
    text = re.sub(
        r"^( *)(```|~~~).*?^\1\2", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    return re.sub(r"`[^`\n]*`", "``", text)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, messages and comments of a module, with the lines where they begin."""
    source = path.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("page", [*pages(), *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("templates/**/*.md"))])
def test_pages(page: str) -> None:
    """A page calls things by their usual names."""
    assert phrases_in(prose_of(page)) == []


@pytest.mark.parametrize("folder", SOURCES)
def test_sources(folder: str) -> None:
    """Docstrings, help texts, messages and comments do, too."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in texts_of(path)
        for phrase in phrases_in(text)
    ]
    assert found == []


@pytest.mark.parametrize("term", TERMS)
def test_terms(term: str) -> None:
    """A reader who searches the page on a feature for its usual name finds it."""
    text = (ROOT / TERMS[term]).read_text("utf-8")
    assert re.search(rf"\b{re.escape(term)}".replace(r"\ ", r"[\s-]"), text, re.IGNORECASE)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday is no time",
        "It is delivered once\nmore",
        "a job that runs elsewhere",
        "nobody reads it",
        "what becomes of it",
        "waits for ever",
    ],
)
def test_phrases_are_found(text: str) -> None:
    """The check can fail."""
    assert len(phrases_in(text)) == 1


@pytest.mark.parametrize("text", ["there is no file", "it is no longer read", "0 is no limit", "once, moreover"])
def test_good_phrases_are_not(text: str) -> None:
    """Usual English passes."""
    assert phrases_in(text) == []
