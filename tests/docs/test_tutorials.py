"""Each tutorial and the page on installation, from the first word to the last, in the home of a new user.

The machine has Python, Git, a package index, and a copy of the repository.

All have one home, as of one user who reads them one after the other, so that what they install is there for the next.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages.document_homes import environment
from support.pages.documents import ROOT, blocks_of, pages
from support.pages.page_reader import PageReader
from support.pages.shell_session import shell_session
from support.programs import HANG_SECS, free_port, require_program

TUTORIALS = [page for page in pages() if page.startswith("docs/tutorials/")]
INSTALLATION = "docs/installation.md"
FOLDERS = {"operator": "operator", "data-engineer": "engineer", "pipeline-author": "author"}
PORTS = ("8321", "8322", "8323", "8390")
SERVER = "https://git.example.com/mail/dovebeam.git"
LARGE = "'dovebeam[gcp]'"
INSTALL_SECS = 3000
RUN_ID = re.compile(r"\b[0-9a-f]{12}\b")
NOT_COPIED = shutil.ignore_patterns(".git", ".build", ".venv", ".*_cache", ".hypothesis", "__pycache__", "demo")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a user who has nothing yet."""
    home = tmp_path_factory.mktemp("user") / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def checkout(user: Path) -> Path:
    """A copy of the repository as it is now, outside the user's home; it is the only place that has dovebeam."""
    copy = Path(shutil.copytree(ROOT, user.parent / "checkout", ignore=NOT_COPIED))
    git, author = [require_program("git"), "-C", str(copy)], ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message=All"]):
        subprocess.run([*git, *words], check=True, timeout=HANG_SECS)
    return copy


def bare_environment(user: Path, checkout: Path) -> dict[str, str]:
    """Commands find Python itself, not the environment of the tests; pip is told nothing but where its index is.

    The Git server that a page names is the copy of the repository.
    """
    programs = user.parent / "bin"
    programs.mkdir(exist_ok=True)
    python = programs / "python3"
    if not python.exists():
        python.symlink_to(Path(sys.executable).resolve())
    server = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{checkout}.insteadOf",
        "GIT_CONFIG_VALUE_0": SERVER,
    }
    # Python compiles what is imported; that pip compiles everything takes half of its time.
    return {**environment(str(programs)), **server, "PIP_CACHE_DIR": pip_cache(), "PIP_NO_COMPILE": "1"}


def pip_cache() -> str:
    """Where pip keeps what it has downloaded."""
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECS, check=True).stdout.strip()


def read_page(page: str, user: Path, checkout: Path, folder: str, instead: dict[str, str]) -> None:
    """Types the commands of a page, in the folder of the repository as the page asks; an id of a run stays the same."""
    ids: set[tuple[str, str]] = set()
    with shell_session(user, bare_environment(user, checkout)) as shell:
        assert shell.run(f"cd {checkout}", HANG_SECS) == (0, "")
        reader = PageReader(user, shell, instead=instead, folder=folder, seconds=INSTALL_SECS)
        for block in blocks_of(page):
            reader.read(block)
            if block.language == "text":
                ids.update(zip(RUN_ID.findall(block.text), RUN_ID.findall(reader.output), strict=True))
        assert set(shell.stop(HANG_SECS)) <= {0}
    assert len(ids) == len(dict(ids)) == len({run for _, run in ids}), f"one id on the page, several in fact: {ids}"


@pytest.mark.parametrize("page", TUTORIALS)
def test_tutorial(page: str, user: Path, checkout: Path) -> None:
    """Every command does and shows what the page says."""
    read_page(page, user, checkout, FOLDERS[Path(page).stem], {port: str(free_port()) for port in PORTS})
    assert installed_at(user).is_relative_to(user)


def test_installation(user: Path, checkout: Path) -> None:
    """Every way to install dovebeam ends with a dovebeam that runs, as the page says.

    Of the largest extra, pip finds all packages, but does not install their 300 MB.
    """
    assert any(LARGE in block.text for block in blocks_of(INSTALLATION))
    instead = {"8390": str(free_port()), LARGE: f"--dry-run {LARGE}"}
    read_page(INSTALLATION, user, checkout, ".", instead)


def installed_at(user: Path) -> Path:
    """Where the tutorials' dovebeam is."""
    command = [user / "dovebeam-env" / "bin" / "python", "-c", "import dovebeam.transforms as t; print(t.__file__)"]
    return Path(subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECS, check=True).stdout)


def test_all_tutorials() -> None:
    """There is one for each kind of reader."""
    assert sorted(Path(page).stem for page in TUTORIALS) == sorted(FOLDERS)
