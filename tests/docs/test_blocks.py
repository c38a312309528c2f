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
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.pages.document_homes import (
    after_make_demo,
    common_home,
    environment_under_test,
    mail_server,
    with_all_events,
    with_rejects,
    with_schemas,
)
from support.pages.documented import parse_crontab, understand_command
from support.pages.documented_cloud import understand_docker, understand_gcloud, understand_terraform, understand_wheel
from support.pages.documents import ROOT, blocks_of, commands_of, pages
from support.pages.page_reader import PageReader, Spared
from support.pages.shell_session import shell_session
from support.programs import HANG_SECS, free_port

PORTS = ("8090", "8390")
"""Of pages; a free one is used instead."""

INSTALLATION = "docs/installation.md"
ELSEWHERE = ("docs/tutorials/*", INSTALLATION, "docs/examples/README.md")
"""Pages that test_tutorials and test_examples read, each where its reader is."""


def nothing(text: str) -> None:
    """For blocks that say nothing that could be checked."""


def make_target(text: str) -> None:
    """The target is in the Makefile, and make finds its rules and all that they depend on."""
    done = subprocess.run(
        ["make", "--dry-run", text.split()[1]], cwd=ROOT, capture_output=True, timeout=HANG_SECS, check=False
    )
    assert done.returncode == 0, (text, done.stderr)


def known_test(text: str) -> None:
    """The tests that a command runs are there."""
    assert (ROOT / next(word for word in text.split() if word.startswith("tests"))).exists(), text


def known_script(text: str) -> None:
    """The script is there, and bash understands it."""
    subprocess.run(["bash", "-n", ROOT / text.split(maxsplit=1)[0]], check=True, timeout=HANG_SECS)


def on_the_page_of_installation(text: str) -> None:
    """The same command, but for its words about quiet, is on the page that a test reads as a new user does."""

    def plain(command: str) -> list[str]:
        return [word for word in shlex.split(command, comments=True) if word != "--quiet"]

    blocks = [block for block in blocks_of(INSTALLATION) if block.language == "sh"]
    assert plain(text) in [plain(command.text) for block in blocks for command in commands_of(block)], text


def wheel_of_the_image(text: str) -> None:
    """The wheel is made as Cloud Build makes it, by a command of the page of installation."""
    understand_wheel(text)
    on_the_page_of_installation(text)


STOPPED = {0, 128 + signal.SIGTERM}
"""Exit codes of a stream that is stopped: drained, or before it has read anything."""


def of_an_example(text: str) -> None:
    """Each line is in an example."""
    paths = (ROOT / "docs" / "examples").rglob("*.java")
    known = {line.strip() for path in paths for line in path.read_text().splitlines()}
    assert {line.strip() for line in text.splitlines()} <= known, text


SPARED = [
    Spared("docs/cross-language.md", "", nothing, "tests/runners/test_cross_language.py runs the example"),
    Spared("CONTRIBUTING.md", "-m pytest", known_test, "tests are what runs this"),
    Spared("CONTRIBUTING.md", ".ci/install-programs", known_script, "needs root; CI runs it"),
    Spared("CONTRIBUTING.md", "+", nothing, "changes of modules; tests/docs/test_contributing.py makes them", "diff"),
    Spared("*", "gcloud ", understand_gcloud, "Google's cloud"),
    Spared("*", "terraform ", understand_terraform, "Google's cloud; tests/templates read what is applied"),
    Spared("*", "docker build", understand_docker, "Docker; tests/templates read the Dockerfile"),
    Spared("*", "pip wheel", wheel_of_the_image, "needs the repository; tests/docs/test_tutorials.py runs it there"),
    Spared(
        "*",
        "pip install",
        on_the_page_of_installation,
        "changes the environment; tests/docs/test_tutorials.py has one for it",
    ),
    Spared("*", "make ", make_target, "installs or tests everything; .ci/run runs `make demo` and `make test`"),
    Spared(
        "*",
        "--runner=Data",
        understand_command,
        "Google's cloud; tests/runners/test_command_lines.py translates the job",
    ),
    Spared(
        "*",
        "--runner=",
        understand_command,
        "engines: tests/runners/test_engines.py, tests/runners/test_streams_on_engines.py",
    ),
    Spared(
        "*",
        "gs://",
        understand_command,
        "buckets: tests/test_corpus_export.py and tests/pipelines/replay have an emulator",
    ),
    Spared("*", "projects/", understand_command, "Pub/Sub: tests/faults/test_pubsub.py has Google's own fake of it"),
    Spared("docs/architecture.md", "files, gs://, spool", nothing, "a drawing", "text"),
    Spared("docs/architecture.md", "pipelines/", nothing, "a drawing; tests/structure/test_layers.py holds it", "text"),
    Spared(
        "docs/files.md",
        "gs://mail-archive/imap/events-2026",
        nothing,
        "names; tests/docs/test_files_page.py derives them",
        "text",
    ),
    Spared("docs/from-dovecot.md", "driver = file ---------> a log", nothing, "a drawing", "text"),
    Spared(
        "docs/cross-language.md",
        "panic in stage.Execute",
        nothing,
        "what Prism says about Go; seen on 2026-11-30",
        "text",
    ),
    Spared("docs/cross-language.md", "", of_an_example, "parts of the example", "java"),
    Spared("docs/reference/schemas.md", "npm install", nothing, "a registry; .ci/build-ajv installs the same"),
    Spared("docs/reference/schemas.md", "node ", nothing, "Node.js; tests/docs/test_schemas.py runs it where that is"),
    Spared("docs/reference/schemas.md", "3000 lines", nothing, "tests/docs/test_schemas.py compares it", "text"),
    Spared("docs/rejects.md", "read = matched +", nothing, "arithmetic; tests/pipelines/ledger hold it", "text"),
    Spared("docs/replay.md", "0 3 * * *", parse_crontab, "a crontab; the command is run above it", "text"),
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
    """All pages that have code, but those that are read elsewhere."""
    return [page for page in pages() if not any(fnmatch.fnmatch(page, each) for each in ELSEWHERE) and blocks_of(page)]


@pytest.mark.parametrize("page", untaught())
def test_page(page: str, tmp_path: Path) -> None:
    """Its blocks, from the first to the last, do what the page says."""
    home = common_home(tmp_path)
    HOMES.get(page, lambda _: None)(home)
    with mail_server(home) as system, shell_session(home, environment_under_test()) as shell:
        instead = {port: str(free_port()) for port in PORTS}
        reader = PageReader(home, shell, SPARED, page in TOGETHER, instead, system=system)
        for block in blocks_of(page):
            reader.read(block)
        assert set(shell.stop(HANG_SECS)) <= STOPPED


@pytest.mark.parametrize("row", SPARED, ids=lambda row: f"{row.pages}-{row.text}")
def test_spared(row: Spared) -> None:
    """What the table spares is there, and so are the tests that it names as a reason."""
    texts = [block.text for page in pages() if fnmatch.fnmatch(page, row.pages) for block in blocks_of(page)]
    assert any(row.text in text for text in texts)
    assert [path for path in re.findall(r"tests/[\w/]+(?:\.py)?", row.reason) if not (ROOT / path).exists()] == []


def test_files_that_contributors_are_told_of() -> None:
    """Each path in CONTRIBUTING.md exists, or its folder does where a name is to be chosen."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:transforms|pipelines|tests|docs|templates|\.ci)/[^`\s]*|[A-Z]+\.md)`", text)
    made = {block.file for block in blocks_of("CONTRIBUTING.md")}
    assert len(paths) > 15
    assert [
        path for path in paths if path not in made and not any(ROOT.glob(re.sub(r"(test_)?NAME\.py", "", path)))
    ] == []
