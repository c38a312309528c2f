"""The file driver in append mode under faults: real jobs, by identity of events.

Whatever happens but a kill, every line is whole; a job that could not write everything fails, and the same job run again after
the repair leaves every event in the files, at least once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.jobs.file_jobs import TWO_PROCESSES, FileJob, files_below, ids, make_read_only, mount, small_disk, unmount

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def is_written(path: Path) -> bool:
    """Whether a file has something in it."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("compression", "options"), [("none", ()), ("gzip", TWO_PROCESSES), ("zstd", ())], ids=SUFFIXES
)
def test_full_disk(tmp_path: Path, compression: str, options: tuple[str, ...]) -> None:
    """The job fails and says so; what was written stays whole; with more room the same job completes."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        path = disk / f"events.json{SUFFIXES[compression]}"
        job = FileJob.prepare(tmp_path, [f"file_path = {path}", f"file_compression = {compression}"], 20_000)
        ran = job.run(*options)
        assert ran.code == 1
        assert (
            f"event_exporter x: write({path}) failed: No space left on device (the disk is full; make room" in ran.err
        )
        assert 0 < len(ids(path)) < job.count
        mount("-o", "remount,size=64m", str(disk))
        ran = job.run(*options)
        assert (ran.code, ran.err) == (0, "")
        job.check(path)


def test_full_disk_with_many_files(tmp_path: Path) -> None:
    """Files that were complete, torn or not begun when the disk was full hold whole lines, and then everything."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        settings = [f"file_path = {disk}", "file_path_template = %Y/{user}.json", "file_max_open = 3"]
        job = FileJob.prepare(tmp_path, settings, 20_000)
        ran = job.run()
        assert ran.code == 1
        assert "No space left on device" in ran.err
        assert 0 < len(ids(*files_below(disk))) < job.count
        mount("-o", "remount,size=64m", str(disk))
        assert job.run().code == 0
        assert {path.relative_to(disk).as_posix() for path in files_below(disk)} == {
            f"2019/u{number}.json" for number in range(50)
        }
        job.check(*files_below(disk))


@pytest.mark.parametrize("settings", ["file_path_template = {id}.json", "file_rotate_size = 4k"])
def test_directory_that_becomes_unwritable(tmp_path: Path, settings: str) -> None:
    """A job that can make no more files fails; when it may again, it completes. Root, too, cannot write there."""
    base = tmp_path / "base"
    base.mkdir()
    target = base if "template" in settings else base / "events.json"
    job = FileJob.prepare(tmp_path, [f"file_path = {target}", settings], 8_000)

    try:
        ran = job.disturbed(lambda: len(os.listdir(base)) > 20, lambda: make_read_only(base))
    finally:
        unmount(base)
    assert ran.code == 1
    assert "Read-only file system" in ran.err
    assert 0 < len(ids(*files_below(base))) < job.count
    assert job.run().code == 0
    job.check(*files_below(base))


def test_link_planted_at_the_path(tmp_path: Path) -> None:
    """The job fails instead of writing through the link; once it is gone, the job completes."""
    path, moved, target = tmp_path / "out.json", tmp_path / "moved", tmp_path / "target"
    target.write_text("mine\n")
    job = FileJob.prepare(tmp_path, [f"file_path = {path}"], 60_000)

    def plant() -> None:
        os.link(path, moved)
        (tmp_path / "link").symlink_to(target)
        (tmp_path / "link").rename(path)

    ran = job.disturbed(lambda: is_written(path), plant)
    assert ran.code == 1
    assert f"open({path}) failed: Too many levels of symbolic links (it is a symbolic link" in ran.err
    assert target.read_text() == "mine\n"
    assert 0 < len(ids(moved)) < job.count
    path.unlink()
    assert job.run().code == 0
    job.check(path)
    job.check(moved, path)


def test_link_planted_in_the_place_of_a_directory(tmp_path: Path) -> None:
    """No directory of the path may be a link, however late it comes."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    settings = [f"file_path = {base}", "file_path_template = {user}/{event}.json"]
    job = FileJob.prepare(tmp_path, settings, 60_000)

    def plant() -> None:
        (base / "u7").rename(base / "moved")
        (base / "u7").symlink_to(outside)

    ran = job.disturbed(lambda: is_written(base / "u7" / "e.json"), plant)
    assert ran.code == 1
    assert "it is a symbolic link" in ran.err
    assert files_below(outside) == []
    (base / "u7").unlink()
    assert job.run().code == 0
    job.check(*files_below(base))


@pytest.mark.parametrize("compression", SUFFIXES)
def test_file_renamed_under_a_job(tmp_path: Path, compression: str) -> None:
    """As logrotate does it: the job goes on in a new file, and every event is in one of the two, once."""
    path = tmp_path / f"out.json{SUFFIXES[compression]}"
    moved = tmp_path / f"moved.json{SUFFIXES[compression]}"
    job = FileJob.prepare(tmp_path, [f"file_path = {path}", f"file_compression = {compression}"], 80_000)
    ran = job.disturbed(lambda: is_written(path), lambda: path.rename(moved))
    assert (ran.code, ran.err) == (0, "")
    assert ids(moved)
    assert ids(path)
    job.check(moved, path, once=True)


def test_rotation_of_two_processes(tmp_path: Path) -> None:
    """Two processes put the same full file aside many times, and every event is there once."""
    path = tmp_path / "out" / "events.json"
    path.parent.mkdir()
    settings = [f"file_path = {path}", "file_rotate_size = 100k", "file_compression = gzip"]
    job = FileJob.prepare(tmp_path, settings, 40_000)
    assert job.run(*TWO_PROCESSES).code == 0
    files = files_below(path.parent)
    assert len(files) > 10
    assert max(file.stat().st_size for file in files) <= 102_400
    job.check(*files, once=True)


@pytest.mark.parametrize(
    ("compression", "options"), [("none", ()), ("gzip", TWO_PROCESSES), ("zstd", ())], ids=SUFFIXES
)
def test_killed_job(tmp_path: Path, compression: str, options: tuple[str, ...]) -> None:
    """After a SIGKILL the same job completes: every event is there, and the file can be read from end to end.

    A line that the kill tore stays as a line of its own, since nobody knows whose it is; compressed, it is gone.
    """
    path = tmp_path / f"out.json{SUFFIXES[compression]}"
    job = FileJob.prepare(tmp_path, [f"file_path = {path}", f"file_compression = {compression}"], 80_000)
    job.killed(lambda: is_written(path), *options)
    assert job.run(*options).code == 0
    job.check(path, torn=1 if compression == "none" else 0)


def test_events_without_a_place_are_rejects(tmp_path: Path) -> None:
    """An event without a field that its path needs is a reject with its payload; all others arrive."""
    base, rejects = tmp_path / "base", tmp_path / "rejects.jsonl"
    base.mkdir()
    job = FileJob.prepare(tmp_path, [f"file_path = {base}", "file_path_template = {user}.json"], 500)
    lines = job.events.read_bytes().splitlines()
    job.events.write_bytes(b"".join(
        (line if number % 5 else line.replace(b'"user"', b'"nobody"')) + b"\n" for number, line in enumerate(lines)
    ))  # fmt: skip
    ran = job.run("--rejects", str(rejects))
    assert ran.code == 0
    assert set(ids(*files_below(base))) == {number for number in range(500) if number % 5}
    assert rejects.read_bytes().count(b"needs {user}, which the event does not have") == 100
