"""Locks and files that last: one holder at a time, and a file is the old one or the whole new one."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovebeam.transforms import local_files
from dovebeam.transforms.local_files import (
    NO_LOCKS,
    file_url_path,
    is_url,
    make_private_directory,
    open_new,
    replace_file,
    sync_directory,
    take_lock,
    write_new,
)
from support.programs import python_at_work, wait_until

_FILE = """
import os, sys
from dovebeam.transforms.local_files import replace_file
def wait(*_arguments):
    print("written", flush=True)
    sys.stdin.read()
os.fsync = wait
replace_file(sys.argv[1], b"new", 0o600)
"""

_HOLDER = """
import sys
from dovebeam.transforms.local_files import take_lock
print(take_lock(sys.argv[1]) is not None, flush=True)
sys.stdin.read()
"""

_TAKER = """
import sys
from dovebeam.transforms.local_files import take_lock
print(take_lock(sys.argv[1]) is not None)
"""


def _can_be_taken(path: Path) -> bool:
    ran = subprocess.run([sys.executable, "-c", _TAKER, str(path)], capture_output=True, check=True, text=True)
    return ran.stdout.strip() == "True"


_URLS = ("gs://bucket/a", "GS://bucket/a", "s3://b", "hdfs://a", "x-y+z.1://a", "file:///tmp/a", "https://h/p")
_PATHS = ("/a", "a", "-", "", "./gs://b", "/mnt/gs://b/c", "C:/a", r"C:\a", "a:b", "1a://b", "://b", "gs:/b", "a b://c")


class TestPlaces:
    @pytest.mark.parametrize("place", [*_URLS, *_PATHS])
    def test_urls_and_paths(self, place: str) -> None:
        """What begins with a scheme and two slashes is a URL, everything else is a path."""
        assert is_url(place) == (place in _URLS)

    @given(st.text(max_size=20) | st.from_regex(r"[a-zA-Z0-9+.:/ -]{0,5}://.{0,3}", fullmatch=True))
    def test_beam_gives_the_same_answer(self, place: str) -> None:
        """A URL is what Beam gives to another file system than that of this machine; it passes over white space."""
        assert is_url(place.strip()) == (FileSystems.get_scheme(place) is not None)

    @pytest.mark.parametrize(
        ("place", "path"),
        [
            ("file:///tmp/a b", "/tmp/a b"),
            ("FILE://localhost/a", "/a"),
            ("file://host/a", ""),
            ("gs://file:///a", ""),
            ("/file:///a", ""),
        ],
    )
    def test_paths_of_file_urls(self, place: str, path: str) -> None:
        """For the advice to write the path."""
        assert file_url_path(place) == path

    def test_no_module_asks_in_a_way_of_its_own(self) -> None:
        """Whether something is a URL is asked here only; what hides secrets in texts looks for URLs within them."""
        own = re.compile(r"""["']://["'] (?:not )?in |get_scheme""")
        found = {
            path.name
            for folder in ("transforms", "pipelines")
            for path in (Path(__file__).parents[1] / folder).rglob("*.py")
            if own.search(path.read_text())
        }
        assert found == {"places.py"}


class TestReplace:
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.binary(max_size=100_000), min_size=1, max_size=4),
        st.sampled_from(["write", "fsync", "rename", "fchmod", "nothing"]),
    )
    def test_a_failure_leaves_the_old_file(self, tmp_path: Path, contents: list[bytes], failing: str) -> None:
        """Whichever call fails, the file is the old one, and nothing is left beside it; else it is the new one."""
        path = tmp_path / "file"
        path.unlink(missing_ok=True)
        before: bytes | None = None
        for content in contents:
            with pytest.MonkeyPatch.context() as patch:
                if failing != "nothing":
                    patch.setattr(os, failing, _full)
                    if content or failing != "write":
                        with pytest.raises(OSError, match="No space left"):
                            replace_file(str(path), content, 0o600, is_exact=True)
                        assert [each.read_bytes() for each in tmp_path.iterdir()] == [before] * path.exists()
            replace_file(str(path), content, 0o600, is_exact=True)
            assert [each.read_bytes() for each in tmp_path.iterdir()] == [content]
            before = content

    def test_readers_see_whole_files(self, tmp_path: Path) -> None:
        """While it is replaced again and again, by two writers, whoever reads it sees one of the contents."""
        path = tmp_path / "file"
        contents = {bytes([letter]) * 200_000 for letter in b"abcd"}
        replace_file(str(path), min(contents), 0o600)
        ended = threading.Event()

        def write() -> None:
            while not ended.is_set():
                for content in contents:
                    replace_file(str(path), content, 0o600)

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        try:
            assert {path.read_bytes() for _ in range(300)} <= contents
        finally:
            ended.set()
            for writer in writers:
                writer.join()
        assert list(tmp_path.iterdir()) == [path]

    def test_files_of_the_dead_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After SIGKILL in the middle of writing; those of other files, and of a writer that lives, stay."""
        path = tmp_path / "ledger.json"
        path.write_bytes(b"old")
        others = [tmp_path / ".ledger.json.notes", tmp_path / ".other.0123456789abcdef"]
        for other in others:
            other.write_bytes(b"")
        with python_at_work(_FILE, path) as (_, said):
            assert said == "written"
            with python_at_work(_FILE, path):
                pass
            assert len(list(tmp_path.glob(".ledger.json.*"))) == 3
            replace_file(str(path), b"newer", 0o600)
            assert path.read_bytes() == b"newer"
            assert len(list(tmp_path.glob(".ledger.json.*"))) == 2
        monkeypatch.setattr(local_files, "_swept", set())
        replace_file(str(path), b"newest", 0o640)
        assert sorted(tmp_path.iterdir()) == sorted([path, *others])
        assert path.read_bytes() == b"newest"

    def test_a_disk_that_fails_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that cannot be made to last is an error; a file system that cannot do it at all is none."""
        numbers = [0, errno.EIO]

        def fail(_fd: int) -> None:
            number = numbers.pop(0)
            if number:
                raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            replace_file(str(tmp_path / "file"), b"new", 0o600)
        numbers += [0, errno.EINVAL]
        replace_file(str(tmp_path / "file"), b"newer", 0o600)
        assert (tmp_path / "file").read_bytes() == b"newer"


class TestNewFiles:
    @pytest.mark.parametrize("make", ["file", "directory", "link", "dangling link"])
    def test_nothing_that_is_there_is_touched(self, tmp_path: Path, make: str) -> None:
        """Neither overwritten nor written through."""
        path, aim = tmp_path / "x", tmp_path / "aim"
        if make == "file":
            path.write_bytes(b"old")
        elif make == "directory":
            path.mkdir()
        else:
            path.symlink_to(aim)
            if make == "link":
                aim.write_bytes(b"old")
        with pytest.raises(FileExistsError):
            open_new(str(path), 0o600)
        with pytest.raises(FileExistsError):
            write_new(str(path), b"new", 0o600)
        assert aim.exists() == (make == "link")
        assert path.is_dir() or not path.exists() or path.read_bytes() == b"old"

    def test_new_content(self, tmp_path: Path) -> None:
        """All of it, by path or by directory."""
        write_new(str(tmp_path / "a"), b"1" * 300_000, 0o640)
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            write_new("b", b"2", 0o600, folder)
        finally:
            os.close(folder)
        assert (tmp_path / "a").read_bytes() == b"1" * 300_000
        assert (tmp_path / "b").read_bytes() == b"2"

    def test_private_directories(self, tmp_path: Path) -> None:
        """For one user; made once; never with their parents."""
        for _ in range(2):
            make_private_directory(str(tmp_path / "d"))
        assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
        with pytest.raises(FileNotFoundError):
            make_private_directory(str(tmp_path / "x" / "d"))

    def test_directories_that_were_opened_to_enter_are_synced(self, tmp_path: Path) -> None:
        """By path, by descriptor, by a descriptor that can only be entered."""
        for flags in (os.O_RDONLY, os.O_PATH):
            fd = os.open(tmp_path, flags | os.O_DIRECTORY)
            try:
                sync_directory(fd)
            finally:
                os.close(fd)
        sync_directory(str(tmp_path))
        with pytest.raises(FileNotFoundError):
            sync_directory(str(tmp_path / "missing"))


class TestLocks:
    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        """As long as the holder lives; killed, it holds nothing any more."""
        path = tmp_path / "lock"
        with python_at_work(_HOLDER, path) as (_, said):
            assert said == "True"
            assert not _can_be_taken(path)
            assert take_lock(str(path)) is None
        wait_until(lambda: _can_be_taken(path), "the lock of a process that was killed")

    def test_a_lock_by_its_directory(self, tmp_path: Path) -> None:
        """The name in an open directory is the same lock as the path; closing its descriptor frees it."""
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            fd = take_lock("lock", folder)
            assert fd is not None
            assert take_lock(str(tmp_path / "lock")) is None
            os.close(fd)
            assert _can_be_taken(tmp_path / "lock")
        finally:
            os.close(folder)

    def test_a_holder_may_remove_its_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between opening and locking, too: a lock of a file that is gone would be held by two."""
        path = tmp_path / "lock"
        first, flock = [True], local_files.fcntl.flock

        def locked(fd: int, how: int) -> Any:
            if first.pop() if first else False:
                path.unlink()
            return flock(fd, how)

        monkeypatch.setattr(local_files.fcntl, "flock", locked)
        fd = take_lock(str(path))
        assert fd is not None
        try:
            assert os.path.samestat(os.fstat(fd), path.stat())
        finally:
            os.close(fd)

    @pytest.mark.parametrize("number", sorted(NO_LOCKS))
    def test_a_file_system_without_locks_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """It is not taken for a lock, and no descriptor stays open."""

        def none(_fd: int, _how: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(local_files.fcntl, "flock", none)
        with pytest.raises(OSError) as caught:
            take_lock(str(tmp_path / "lock"))
        assert caught.value.errno == number

    def test_no_lock_through_a_link(self, tmp_path: Path) -> None:
        """A planted link makes no file elsewhere."""
        (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic links"):
            take_lock(str(tmp_path / "lock"))
        assert not (tmp_path / "elsewhere").exists()


def _full(*_arguments: Any, **_named: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
