"""The folder of examples, copied to an empty home and used as its page says, to its last file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.pages.document_homes import environment_under_test
from support.pages.documents import ROOT, blocks_of
from support.pages.page_reader import PageReader
from support.pages.shell_session import shell_session
from support.programs import HANG_SECS

PAGE = "docs/examples/README.md"
FOLDER = ROOT / "docs" / "examples"
COPY = "dovebeam-examples"


def files_of(folder: Path) -> set[str]:
    """The names of the files in a folder, without what Python leaves there."""
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a reader who has followed the page."""
    home = tmp_path_factory.mktemp("home")
    source = shutil.copytree(FOLDER, tmp_path_factory.mktemp("repository") / "examples")
    with shell_session(home, environment_under_test()) as shell:
        assert shell.run(f"cd {source}", HANG_SECS) == (0, "")
        reader = PageReader(home, shell)
        for block in blocks_of(PAGE):
            reader.read(block)
    return home


def test_the_page(home: Path) -> None:
    """Its commands make what they show; every file is in the copy, and named on the page."""
    text = (ROOT / PAGE).read_text()
    names = files_of(FOLDER)
    assert names <= files_of(home / COPY)
    assert [name for name in sorted(names) if name != "README.md" and f"`{name}`" not in text] == []
    assert "the configuration can be used (no warnings)" in (home / COPY / "check.txt").read_text()


def test_the_line_for_cron(home: Path) -> None:
    """Cron's command writes the same preview as the page's; its PATH is the only setting."""
    copy = home / COPY
    settings, line = [each for each in (copy / "crontab").read_text().splitlines() if not each.startswith("#")]
    assert settings.startswith("PATH=/opt/dovebeam/bin:")
    *times, command = line.split(" ", 5)
    assert times == ["15", "3", "*", "*", "*"]
    assert "%" not in command
    before = {path.name: path.read_bytes() for path in (copy / "preview").glob("[!.]*")}
    assert len(before) == 3
    shutil.rmtree(copy / "preview")
    with shell_session(home, environment_under_test()) as shell:
        assert shell.run(command, HANG_SECS)[0] == 0
    assert {path.name: path.read_bytes() for path in (copy / "preview").glob("[!.]*")} == before
    assert os.access(copy / "run.log", os.R_OK)
