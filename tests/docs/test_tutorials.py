"""Each tutorial from its first word to its last, in an empty directory, with nothing installed but Python.

All have one home, as of one user who reads them one after the other, so that what they install is there for the next.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pages.document_homes import environment
from support.pages.documents import ROOT, blocks_of, pages
from support.pages.page_reader import COMMAND_SECS, PageReader
from support.pages.shell_session import shell_session
from support.programs import free_port

TUTORIALS = [page for page in pages() if page.startswith("docs/tutorials/")]
FOLDERS = {"operator": "operator", "data-engineer": "engineer", "pipeline-author": "author"}
PORTS = ("8321", "8322", "8323")
INSTALL_SECS = 600


@pytest.fixture(scope="module")
def wheel() -> Iterator[Path]:
    """A directory with the wheel under test: the one that `make test` has installed, or one built from this tree."""
    built = ROOT / ".build" / "dist"
    if Path(sys.prefix) == ROOT / ".build" / "venv" and list(built.glob("dovebeam-*.whl")):
        yield built
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECS, check=False)
        assert done.returncode == 0, done.stderr
        yield Path(folder)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a user who has nothing yet."""
    home = tmp_path_factory.mktemp("user") / "home"
    home.mkdir()
    return home


def bare_environment(user: Path, wheel: Path) -> dict[str, str]:
    """Commands find Python itself, not the environment of the tests; pip finds dovebeam as the wheel under test."""
    programs = user.parent / "bin"
    programs.mkdir(exist_ok=True)
    python = programs / "python3"
    if not python.exists():
        python.symlink_to(Path(sys.executable).resolve())
    return {**environment(str(programs)), "PIP_FIND_LINKS": str(wheel), "PIP_CACHE_DIR": pip_cache()}


def pip_cache() -> str:
    """Where pip keeps what it has downloaded."""
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.mark.parametrize("page", TUTORIALS)
def test_tutorial(page: str, user: Path, wheel: Path) -> None:
    """Every command does and shows what the page says."""
    ports = {port: str(free_port()) for port in PORTS}
    with shell_session(user, bare_environment(user, wheel)) as shell:
        reader = PageReader(user, shell, instead=ports, folder=FOLDERS[Path(page).stem], seconds=INSTALL_SECS)
        for block in blocks_of(page):
            reader.read(block)
        assert set(shell.stop(COMMAND_SECS)) <= {0}
    assert installed_at(user).is_relative_to(user)


def installed_at(user: Path) -> Path:
    """Where the tutorials' dovebeam is."""
    command = [user / "dovebeam" / "bin" / "python", "-c", "import dovebeam.transforms as t; print(t.__file__)"]
    return Path(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


def test_all_tutorials() -> None:
    """There is one for each kind of reader."""
    assert sorted(Path(page).stem for page in TUTORIALS) == sorted(FOLDERS)
