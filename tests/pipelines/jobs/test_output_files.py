"""Files that the launching process writes or checks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dovebeam.pipelines.jobs.outputs import check_appendable, check_replaceable, claim, replace_file
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.transforms.errors import DeliveryError


def test_replace(tmp_path: Path) -> None:
    """The new content is there, and nothing else."""
    path = tmp_path / "ledger.json"
    for content in (b"old and long", b"new"):
        replace_file(str(path), content)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_modes_of_replaced_files(tmp_path: Path) -> None:
    """A new file is private, whatever the umask; one that is there keeps the mode that somebody gave it."""
    path = tmp_path / "ledger.json"
    before = os.umask(0)
    try:
        replace_file(str(path), b"1")
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        replace_file(str(path), b"2")
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"2", 0o644)


def test_a_failed_replacement_leaves_what_was_there(tmp_path: Path) -> None:
    """A directory in its place makes the last step fail; the temporary file is removed."""
    path = tmp_path / "ledger.json"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(DeliveryError, match="name a file in that directory"):
        replace_file(str(path), b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_checks_say_what_to_do(tmp_path: Path) -> None:
    """A missing directory and a directory in the file's place are told at launch."""
    for check in (check_appendable, check_replaceable):
        with pytest.raises(DeliveryError, match="directories are not created"):
            check(str(tmp_path / "missing" / "file"))
        with pytest.raises(DeliveryError, match="name a file in that directory"):
            check(str(tmp_path))


def test_appendable(tmp_path: Path) -> None:
    """A file that is there stays as it is, a missing one is made private, a symbolic link is refused."""
    path = tmp_path / "rejects"
    check_appendable(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"kept")
    check_appendable(str(path))
    assert path.read_bytes() == b"kept"
    os.symlink(path, tmp_path / "link")
    with pytest.raises(DeliveryError, match="symbolic link"):
        check_appendable(str(tmp_path / "link"))


def test_replaceable_leaves_nothing_behind(tmp_path: Path) -> None:
    """The check writes no file that stays."""
    check_replaceable(str(tmp_path / "ledger.json"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file:///tmp/l.json", "gs://bucket/l.json"])
def test_a_ledger_is_no_url(path: str) -> None:
    """It would become a file in a directory called `gs:`, if there is one."""
    with pytest.raises(UsageError, match="a ledger is a file on this machine; write a path"):
        check_replaceable(path)


def test_claim(tmp_path: Path) -> None:
    """Only one can make a file; a dangling symbolic link counts as something that is there."""
    claim(str(tmp_path / "a"))
    os.symlink(tmp_path / "nowhere", tmp_path / "b")
    for name in "ab":
        with pytest.raises(FileExistsError):
            claim(str(tmp_path / name))
    with pytest.raises(DeliveryError):
        claim(str(tmp_path / "missing" / "file"))
