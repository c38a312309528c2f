"""Every code block of the README and of all pages is run, read or compared; what cannot be is in the table `SPARED`.

How a block is treated follows from the language behind its fence:

- `sh`: every command is run in the page's directory, one shell a page, and has to end with 0, or as the comment
  `# ends with 78` says. A `dovebeam stream` or `collect` is started, and stopped when the page is over.
- `text` behind a `sh` or `python` block: what that has put out, `...` standing for anything and any run id for any other.
- a block behind "Save this as `NAME`:" or "Add this to `NAME`:" becomes that file. Any other
  `conf` is read as configuration, `python` run, `json`, `yaml` and `ini` parsed.
"""

from __future__ import annotations

import doctest
import fnmatch
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.document_homes import common_home, environment_under_test, with_all_events, with_rejects
from support.documented import (
    parse_crontab,
    parse_ini,
    parse_json,
    parse_yaml,
    read_configuration,
    understand_command,
)
from support.documented_cloud import understand_docker, understand_gcloud, understand_terraform, understand_wheel
from support.documents import ROOT, Block, Command, blocks_of, commands_of, pages
from support.shell_session import ShellSession, shell_session

COMMAND_SECS = 120
TUTORIALS = "docs/tutorials/*"


@dataclass(frozen=True)
class Spared:
    """What is not run or compared.

    Attributes:
        pages: pattern of pages.
        text: words that are in the command or the block.
        check: what is done instead.
        reason: why.
        language: "sh" for a command, else that of the block.
    """

    pages: str
    text: str
    check: Callable[[str], None]
    reason: str
    language: str = "sh"


def nothing(text: str) -> None:
    """For blocks that say nothing that could be checked."""


def make_target(text: str) -> None:
    """The target is in the Makefile."""
    assert f"\n{text.split()[1]}:" in (ROOT / "Makefile").read_text(), text


SPARED = [
    Spared("*", "gcloud ", understand_gcloud, "Google's cloud"),
    Spared("*", "terraform ", understand_terraform, "Google's cloud; tests/templates read what is applied"),
    Spared("*", "docker build", understand_docker, "Docker; tests/templates read the Dockerfile"),
    Spared("*", "pip wheel", understand_wheel, "a part of the image"),
    Spared("*", "make ", make_target, "targets of the Makefile: some of them run these tests"),
    Spared("*", "--runner=", understand_command, "engines: tests/runners and tests/streaming run them"),
    Spared("*", "/etc/", understand_command, "files of a mail server"),
    Spared("*", "/var/", understand_command, "directories of a mail server"),
    Spared("*", "/srv/", understand_command, "directories of a mail server"),
    Spared("*", "gs://", understand_command, "buckets: tests with an emulator write and read them"),
    Spared("*", "projects/", understand_command, "Pub/Sub: tests/streaming and tests/faults run it"),
    Spared(
        "*", "pip install", nothing, "extras; the tutorials install dovebeam itself, the others are dependencies here"
    ),
    Spared("README.md", "events.json(.gz, .zst)", nothing, "a drawing", "text"),
    Spared(
        "docs/files.md", "gs://mail-archive/imap/events-2026", nothing, "names; test_files_docs derives them", "text"
    ),
    Spared("docs/rejects.md", "read = matched +", nothing, "arithmetic; tests of the ledger hold it", "text"),
    Spared("docs/replay.md", "0 3 * * *", parse_crontab, "a line of a crontab", "text"),
]
"""All that is not run or compared, and what is done instead."""

HOMES: dict[str, Callable[[Path], None]] = {
    "docs/rejects.md": with_rejects,
    "docs/replay.md": with_all_events,
}
"""What a page needs beside the common files."""

TOGETHER = {"docs/http.md"}
"""Pages whose configurations are one, in parts."""

READERS: dict[str, Callable[[str], None]] = {"json": parse_json, "yaml": parse_yaml, "ini": parse_ini}


@dataclass
class Reader:
    """Goes through a page as a reader would.

    Attributes:
        home: the directory.
        shell: the shell in it.
        output: what the last `sh` block has put out.
        parts: configurations of the page so far.
    """

    home: Path
    shell: ShellSession
    output: str = ""
    parts: list[str] = field(default_factory=list)

    def read(self, block: Block) -> None:
        """Runs or checks one block."""
        spared = None if block.language == "sh" else spared_by(block.page, block.text, block.language)
        if spared:
            spared.check(block.text)
        elif block.file:
            self.save(block)
        elif block.language == "sh":
            self.output = "".join(self.run(command, block) for command in commands_of(block))
        elif block.language == "text":
            assert block.previous in {"sh", "python"}, (
                f"{block.place}: is it output? Then of what? Else it belongs into SPARED"
            )
            compare(block, self.output)
        elif block.language == "conf":
            self.parts = [*self.parts, block.text] if block.page in TOGETHER else [block.text]
            read_configuration(self.home.parent, "".join(self.parts))
        elif block.language == "python":
            self.run_python(block)
        else:
            assert block.language in READERS, (
                f"{block.place}: blocks of {block.language or 'no language'} have no check"
            )
            READERS[block.language](block.text)

    def save(self, block: Block) -> None:
        """Makes the file that the page tells to make."""
        path = self.home / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if block.is_added else ""
        path.write_text(before + block.text)

    def run(self, command: Command, block: Block) -> str:
        """Runs one command, or does what the table says instead; returns its output."""
        if spared := spared_by(block.page, command.text, "sh"):
            spared.check(command.text)
            return ""
        if re.match(r"dovebeam (stream|collect) [^&]*\Z", command.text):
            self.shell.start(command.text)
            return ""
        code, output = self.shell.run(command.text, COMMAND_SECS)
        assert code == command.code, f"{block.page}:{command.line}: {command.text}\nended with {code}:\n{output}"
        return output

    def run_python(self, block: Block) -> None:
        """Runs a program of the page."""
        program = self.home / "example.py"
        program.write_text(block.text)
        command = [sys.executable, program]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=COMMAND_SECS, check=False)
        assert done.returncode == 0, f"{block.place}:\n{done.stderr}"
        self.output = done.stdout


def spared_by(page: str, text: str, language: str) -> Spared | None:
    """The row of the table for a command (`sh`) or a block."""
    for row in SPARED:
        if row.language == language and row.text in text and fnmatch.fnmatch(page, row.pages):
            return row
    return None


def compare(block: Block, output: str) -> None:
    """Fails unless the output is that of the page."""
    checker, example = doctest.OutputChecker(), doctest.Example("", block.text)
    want, got = (re.sub(r"\b[0-9a-f]{12}\b", "RUN-ID", text) for text in (block.text, output))
    same = checker.check_output(want, got, doctest.ELLIPSIS)
    assert same, f"{block.place}\n{checker.output_difference(example, output, doctest.REPORT_NDIFF)}"


def untaught() -> list[str]:
    """All pages but the tutorials, which have an environment of their own."""
    return [page for page in pages() if not fnmatch.fnmatch(page, TUTORIALS) and blocks_of(page)]


@pytest.mark.parametrize("page", untaught())
def test_page(page: str, tmp_path: Path) -> None:
    """Its blocks, from the first to the last, do what the page says."""
    home = common_home(tmp_path)
    HOMES.get(page, lambda _: None)(home)
    with shell_session(home, environment_under_test()) as shell:
        reader = Reader(home, shell)
        for block in blocks_of(page):
            reader.read(block)
        assert set(shell.stop(COMMAND_SECS)) <= {0}


@pytest.mark.parametrize("row", SPARED, ids=lambda row: f"{row.pages}-{row.text}")
def test_spared(row: Spared) -> None:
    """What the table spares is there."""
    texts = [block.text for page in pages() if fnmatch.fnmatch(page, row.pages) for block in blocks_of(page)]
    assert any(row.text in text for text in texts)
