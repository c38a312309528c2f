"""Temporary folders: nobody's are removed but those of dead owners, and those always."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dovebeam.transforms.local_files import TemporaryFolder, remove_folder
from support.programs import HANG_SECS, python_at_work

_FOLDER = """
import sys
from dovebeam.transforms.local_files import TemporaryFolder
folder = TemporaryFolder("run", sys.argv[1])
open(folder.path + "/secret", "w").close()
print(folder.path, flush=True)
sys.stdin.read()
"""

_MANY_FOLDERS = """
import os, sys
from dovebeam.transforms.local_files import TemporaryFolder
for _ in range(300):
    with TemporaryFolder("run", sys.argv[1]) as path:
        open(path + "/secret", "w").close()
        os.stat(path + "/secret")
"""


def test_a_folder_goes_at_its_end(tmp_path: Path) -> None:
    """With all that is in it; only its user may enter."""
    with TemporaryFolder(parent=str(tmp_path)) as path:
        (Path(path) / "inner").mkdir()
        assert Path(path).stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folders_of_the_dead_go_those_of_the_living_stay(tmp_path: Path) -> None:
    """After SIGKILL, when the next folder is made; a link of such a name leads nowhere else."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "dovebeam-run-link.locked").symlink_to("precious")
    (tmp_path / "dovebeam-0123abcd").mkdir()  # of version 0.1.0
    with python_at_work(_FOLDER, tmp_path) as (_, living):
        with python_at_work(_FOLDER, tmp_path) as (_, killed), TemporaryFolder(parent=str(tmp_path)) as path:
            assert Path(living, "secret").exists()
            assert Path(killed, "secret").exists()
        with TemporaryFolder("secrets", str(tmp_path)) as path:
            names = {each.name for each in tmp_path.iterdir()}
            mine = {os.path.basename(each) for each in (living, path)}
            assert names == {*mine, "precious", "dovebeam-run-link.locked", "dovebeam-0123abcd"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_of_others_stay(tmp_path: Path) -> None:
    """Even root leaves what another user's process has left behind to that user."""
    other = tmp_path / "dovebeam-run-other.locked"
    other.mkdir()
    os.chown(other, 12345, 12345)
    with TemporaryFolder(parent=str(tmp_path)):
        assert other.exists()


def test_only_temporary_folders_are_removed_by_name(tmp_path: Path) -> None:
    """A path in an environment variable is not believed blindly."""
    remove_folder(str(tmp_path))
    assert tmp_path.exists()


def test_a_folder_that_is_taken_for_a_dead_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove it between its creation and its lock; then there is a next one."""
    made = []
    mkdtemp = tempfile.mkdtemp

    def removed_at_once(*arguments: str) -> str:
        path = mkdtemp(*arguments)
        made.append(path)
        if len(made) < 3:
            os.rmdir(path)
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", removed_at_once)
    with TemporaryFolder(parent=str(tmp_path)) as path:
        assert path == made[2]
        assert os.path.isdir(path)


def test_many_at_once(tmp_path: Path) -> None:
    """Processes that each look for folders of the dead, while the others create, use and remove theirs."""
    command = [sys.executable, "-c", _MANY_FOLDERS, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=HANG_SECS)[1] for process in processes] == [""] * 4
    assert list(tmp_path.iterdir()) == []
