"""Temporary folders and files: nobody's are removed but those of dead owners, and those always."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dovebeam.transforms import temporary
from dovebeam.transforms.temporary import TemporaryFolder, remove_folder, replace_file

_FOLDER = """
import sys
from dovebeam.transforms.temporary import TemporaryFolder
folder = TemporaryFolder("run", sys.argv[1])
open(folder.path + "/secret", "w").close()
print(folder.path, flush=True)
sys.stdin.read()
"""

_FILE = """
import os, sys
from dovebeam.transforms import temporary
def wait(*_arguments):
    print("written", flush=True)
    sys.stdin.read()
os.fsync = wait
temporary.replace_file(sys.argv[1], b"new", 0o600)
"""


@contextmanager
def running(code: str, argument: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process in the middle of its work, and what it said; killed at the end of the block."""
    command = [sys.executable, "-c", code, str(argument)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGKILL)


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
    with running(_FOLDER, tmp_path) as (_, living):
        with running(_FOLDER, tmp_path) as (_, killed), TemporaryFolder(parent=str(tmp_path)) as path:
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


def test_files_of_the_dead_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGKILL in the middle of writing; those of other files, and of a writer that lives, stay."""
    path = tmp_path / "ledger.json"
    path.write_bytes(b"old")
    others = [tmp_path / ".ledger.json.notes", tmp_path / ".other.0123456789abcdef"]
    for other in others:
        other.write_bytes(b"")
    with running(_FILE, path) as (_, said):
        assert said == "written"
        with running(_FILE, path):
            pass
        assert len(list(tmp_path.glob(".ledger.json.*"))) == 3
        replace_file(str(path), b"newer", 0o600)
        assert path.read_bytes() == b"newer"
        assert len(list(tmp_path.glob(".ledger.json.*"))) == 2
    monkeypatch.setattr(temporary, "_swept", set())
    replace_file(str(path), b"newest", 0o640)
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
    assert path.read_bytes() == b"newest"


def test_a_file_that_cannot_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there is as before, and nothing is left beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(temporary.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(str(path), b"new", 0o600)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]
