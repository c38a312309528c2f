"""Every code block of the README and of all pages is run, read or compared; what cannot be is in the table `SPARED`.

How a block is treated follows from the language behind its fence:

- `sh`: every command is run in the page's directory, one shell a page, and has to end with 0, or as the comment
  `# ends with 78` says. A `dovebeam stream` or `collect` is started, and stopped when the page is over.
- `text` behind a `sh` or `python` block: what that has put out, `...` standing for anything and any run id for any other.
- a block behind "Save this as `NAME`:" or "Add this to `NAME`:" becomes that file. Any other
  `conf` is read as configuration, `python` run, `json`, `yaml` and `ini` parsed.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.pages.document_homes import (
    after_make_demo,
    common_home,
    environment_under_test,
    with_all_events,
    with_rejects,
    with_schemas,
)
from support.pages.documented import parse_crontab, understand_command
from support.pages.documented_cloud import understand_docker, understand_gcloud, understand_terraform, understand_wheel
from support.pages.documents import ROOT, blocks_of, pages
from support.pages.page_reader import COMMAND_SECS, PageReader, Spared
from support.pages.shell_session import shell_session
from support.programs import free_port

PORT = "8390"
"""Stands in pages for one that is free."""

TUTORIALS = "docs/tutorials/*"


def nothing(text: str) -> None:
    """For blocks that say nothing that could be checked."""


def make_target(text: str) -> None:
    """The target is in the Makefile."""
    assert f"\n{text.split()[1]}:" in (ROOT / "Makefile").read_text(), text


def known_test(text: str) -> None:
    """The tests that a command runs are there."""
    assert (ROOT / next(word for word in text.split() if word.startswith("tests"))).exists(), text


def known_script(text: str) -> None:
    """The script is there."""
    assert (ROOT / text.split(maxsplit=1)[0]).is_file(), text


SPARED = [
    Spared("CONTRIBUTING.md", "-m pytest", known_test, "tests are what runs this"),
    Spared("CONTRIBUTING.md", ".ci/install-programs", known_script, "needs root; CI runs it"),
    Spared("CONTRIBUTING.md", "+", nothing, "changes of modules; test_contributing makes them", "diff"),
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
    Spared("docs/architecture.md", "files, gs://, spool", nothing, "a drawing", "text"),
    Spared("docs/architecture.md", "pipelines/", nothing, "a drawing; tests/structure/test_layers.py holds it", "text"),
    Spared(
        "docs/files.md", "gs://mail-archive/imap/events-2026", nothing, "names; test_files_page derives them", "text"
    ),
    Spared("docs/reference/schemas.md", "npm install", nothing, "a registry; .ci/build-ajv installs the same"),
    Spared("docs/reference/schemas.md", "node ", nothing, "Node.js; test_schemas runs it where that is"),
    Spared("docs/reference/schemas.md", "3000 lines", nothing, "test_schemas compares it", "text"),
    Spared("docs/rejects.md", "read = matched +", nothing, "arithmetic; tests of the ledger hold it", "text"),
    Spared("docs/replay.md", "0 3 * * *", parse_crontab, "a line of a crontab", "text"),
]
"""All that is not run or compared, and what is done instead."""

HOMES: dict[str, Callable[[Path], None]] = {
    "README.md": after_make_demo,
    "docs/reference/schemas.md": with_schemas,
    "docs/rejects.md": with_rejects,
    "docs/replay.md": with_all_events,
}
"""What a page needs beside the common files."""

TOGETHER = {"docs/http.md"}
"""Pages whose configurations are one, in parts."""


def untaught() -> list[str]:
    """All pages but the tutorials, which have an environment of their own."""
    return [page for page in pages() if not fnmatch.fnmatch(page, TUTORIALS) and blocks_of(page)]


@pytest.mark.parametrize("page", untaught())
def test_page(page: str, tmp_path: Path) -> None:
    """Its blocks, from the first to the last, do what the page says."""
    home = common_home(tmp_path)
    HOMES.get(page, lambda _: None)(home)
    with shell_session(home, environment_under_test()) as shell:
        reader = PageReader(home, shell, SPARED, page in TOGETHER, {PORT: str(free_port())})
        for block in blocks_of(page):
            reader.read(block)
        assert set(shell.stop(COMMAND_SECS)) <= {0}


@pytest.mark.parametrize("row", SPARED, ids=lambda row: f"{row.pages}-{row.text}")
def test_spared(row: Spared) -> None:
    """What the table spares is there."""
    texts = [block.text for page in pages() if fnmatch.fnmatch(page, row.pages) for block in blocks_of(page)]
    assert any(row.text in text for text in texts)


def test_files_that_contributors_are_told_of() -> None:
    """Each path in CONTRIBUTING.md exists, or its folder does where a name is to be chosen."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:transforms|pipelines|tests|docs|templates|\.ci)/[^`\s]*|[A-Z]+\.md)`", text)
    made = {block.file for block in blocks_of("CONTRIBUTING.md")}
    assert len(paths) > 15
    assert [
        path for path in paths if path not in made and not any(ROOT.glob(re.sub(r"(test_)?NAME\.py", "", path)))
    ] == []
