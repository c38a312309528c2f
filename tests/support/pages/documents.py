"""The code blocks of the project's Markdown pages, found by a CommonMark parser, and the commands within them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from support.programs import HANG_SECS

ROOT = Path(__file__).parents[3]

_SAVED = re.compile(r"\b(Save (?:this|it|them) as|Add this to) `([^`]+)`:\Z")
_ENDS_WITH = re.compile(r"#.*\bends with ([0-9]{1,3})\b")


@dataclass(frozen=True)
class Block:
    """One fenced code block.

    Attributes:
        page: its page, relative to the project's folder.
        line: where its fence begins, from 1.
        language: the first word behind the fence.
        text: what is in it.
        lead: the paragraph or heading before it.
        previous: language of the block before it on the page; "" for the first one.
    """

    page: str
    line: int
    language: str
    text: str
    lead: str = ""
    previous: str = ""

    @property
    def place(self) -> str:
        """Where it is, as compilers write it."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file that the reader is told to save it as, or to add it to; else empty."""
        found = _SAVED.search(self.lead)
        return found[2] if found else ""

    @property
    def is_added(self) -> bool:
        """Whether it goes to the end of a file that is there."""
        found = _SAVED.search(self.lead)
        return bool(found) and found[1].startswith("Add")


@dataclass(frozen=True)
class Command:
    """One command of a block, with its continuation lines, its here-document or its loop.

    Attributes:
        text: as it stands there.
        line: of the page, from 1.
        code: the exit code that it is said to have: `# ends with 78`.
    """

    text: str
    line: int
    code: int = 0


def pages() -> list[str]:
    """All pages for readers, relative to the project's folder."""
    named = [name for name in ("README.md", "CONTRIBUTING.md") if (ROOT / name).is_file()]
    return named + sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page in their order, those within lists included."""
    found: list[Block] = []
    lead = ""
    for token in MarkdownIt("commonmark").parse((ROOT / page).read_text("utf-8")):
        if token.type == "inline":
            lead = " ".join(token.content.split())
        elif token.type == "fence":
            language = (token.info.split() or [""])[0]
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(page, line, language, token.content, lead, found[-1].language if found else ""))
            lead = ""
    return found


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a shell block, one after the other."""
    held: list[str] = []
    for number, line in enumerate(block.text.splitlines(), 1):
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        held.append(line)
        text = "\n".join(held)
        if _is_whole(text):
            code = _ENDS_WITH.search(held[0])
            yield Command(text, block.line + number - len(held) + 1, int(code[1]) if code else 0)
            held = []
    assert not held, f"{block.place}: bash does not understand {held[0]!r}"


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    if "\n" not in text and not re.search(r"<<|\b(for|while|if|case)\b|[({]", text):
        return True
    seen = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=HANG_SECS, check=False)
    return seen.returncode == 0 and "here-document" not in seen.stderr
