"""The file driver's shards under faults: real jobs, by identity of events.

Whatever happens to a job, running it again leaves exactly the right events, once each, in files of the same names and
bytes as those of a job that nothing happened to; nobody else's files are touched, and nothing temporary is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from dovebeam.transforms.shards.committing import Manifest, manifest_from_json
from support.jobs.commands import Ran, exporter, metric, write_config, write_events
from support.jobs.file_jobs import TWO_PROCESSES, FileJob, files_below, ids, mount, small_disk
from support.programs import HANG_SECS, require_program, wait_until

Undisturbed = Callable[..., dict[str, bytes]]

RUN = "--run_id=r"
MANIFEST = "x-r.manifest.json"


class Shards:
    """A job that writes shards, and the directory that it writes to."""

    def __init__(self, folder: Path, count: int, *settings: str, out: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.out = out or folder / "out"
        self.out.mkdir(exist_ok=True)
        chosen = settings if any("file_path =" in each for each in settings) else (
            f"file_path = {self.out}/events.json", *settings
        )  # fmt: skip
        self.job = FileJob.prepare(folder, ["file_writing = shards", *chosen], count)

    def run(self, *options: str) -> Ran:
        """The whole job, undisturbed."""
        return self.job.run(RUN, *options)

    def temporary(self, suffix: str) -> list[Path]:
        """Temporary files of a kind that have something in them."""
        found = []
        for path in (self.out / ".dovebeam").glob(f"r-x/*.{suffix}"):
            try:
                if path.stat().st_size:
                    found.append(path)
            except FileNotFoundError:  # it has got its name
                continue
        return found

    def finals(self) -> list[Path]:
        """All files that have their names."""
        return [path for path in files_below(self.out) if ".dovebeam" not in path.parts and path.name != MANIFEST]

    def manifest(self) -> Manifest:
        """What the run says that it has made."""
        return manifest_from_json((self.out / MANIFEST).read_bytes(), MANIFEST)

    def contents(self) -> dict[str, bytes]:
        """Everything that is there, by its name."""
        return {str(path.relative_to(self.out)): path.read_bytes() for path in files_below(self.out)}

    def check(self) -> dict[str, bytes]:
        """Every event is there once, the manifest is right, and nothing temporary is left; everything that is there."""
        self.job.check(*self.finals(), once=True)
        manifest = self.manifest()
        assert manifest.state == "done"
        assert manifest.events == self.job.count
        assert {file.name: file.bytes for file in manifest.files} == {
            str(path.relative_to(self.out)): path.stat().st_size for path in self.finals()
        }
        assert not (self.out / ".dovebeam").exists()
        return self.contents()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What the same job makes where nothing happens to it, by one process; by the number of events and settings."""

    @cache
    def run(count: int, *settings: str) -> dict[str, bytes]:
        twin = Shards(tmp_path_factory.mktemp("twin"), count, *settings)
        assert twin.run().code == 0
        return twin.check()

    return run


@pytest.mark.parametrize(
    "settings",
    [(), ("file_rotate_size = 100k", "file_compression = gzip")],
    ids=["one file", "many files"],
)
def test_two_processes(tmp_path: Path, undisturbed: Undisturbed, settings: Sequence[str]) -> None:
    """They write the same files as one process does; a second run changes nothing."""
    shards = Shards(tmp_path, 10_000, *settings)
    assert shards.run(*TWO_PROCESSES).code == 0
    made = shards.check()
    assert made == undisturbed(10_000, *settings)
    assert shards.run().code == 0
    assert shards.check() == made


def workers(group: int) -> list[int]:
    """The worker processes of a job: all of its process group but the launcher, which the group is named after."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, fields = stat.read_text().partition(" (")
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if fields.rpartition(") ")[2].split()[2] == str(group) and int(pid) != group and b"worker" in command:
            found.append(int(pid))
    return found


def test_killed_worker(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """A worker process that is killed in the middle fails the job, and nothing has a name; run again, all is right."""
    settings = "file_rotate_size = 8k"
    shards = Shards(tmp_path, 10_000, settings)
    with shards.job.started(RUN, *TWO_PROCESSES) as process:
        wait_until(lambda: shards.temporary("part") or process.poll() is not None, "the first part")
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 1, err
    assert shards.finals() == []
    assert shards.run(*TWO_PROCESSES).code == 0
    assert shards.check() == undisturbed(10_000, settings)


def while_parts(shards: Shards) -> bool:
    """Whether the job writes its parts."""
    return bool(shards.temporary("part"))


def while_composing(shards: Shards) -> bool:
    """Whether the job writes its files."""
    return bool(shards.temporary("file"))


def while_committing(shards: Shards) -> bool:
    """Whether the job has given some files their names."""
    return any(shards.out.glob("events-r-*5-of-*"))


@pytest.mark.parametrize(
    ("moment", "options"),
    [(while_parts, TWO_PROCESSES), (while_composing, ()), (while_committing, ()), (while_committing, TWO_PROCESSES)],
)
def test_killed_job(
    tmp_path: Path, undisturbed: Undisturbed, moment: Callable[[Shards], bool], options: tuple[str, ...]
) -> None:
    """A job that is killed with all its processes, at any moment; run again, all is as if it had not been."""
    settings = "file_rotate_size = 8k"
    shards = Shards(tmp_path, 10_000, settings)
    (shards.out / "events-s-00000-of-00001.json").write_bytes(b"theirs")
    shards.job.killed(lambda: moment(shards), RUN, *options)
    made = len(shards.finals()) - 1
    if moment is while_committing:
        assert 0 < made < len(shards.manifest().files)
        assert shards.manifest().state == "committing"
    else:
        assert made == 0
        assert not (shards.out / MANIFEST).exists()
    assert (shards.out / ".dovebeam").exists()
    assert shards.run(*options).code == 0
    assert (shards.out / "events-s-00000-of-00001.json").read_bytes() == b"theirs"
    (shards.out / "events-s-00000-of-00001.json").unlink()
    assert shards.check() == undisturbed(10_000, settings)


def test_killed_again_and_again(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """A commit may be killed several times, each time somewhere else; the last run completes it."""
    settings = "file_rotate_size = 8k"
    shards = Shards(tmp_path, 10_000, settings)
    for number in (3, 60, 120):
        shards.job.killed(lambda number=number: any(shards.out.glob(f"events-r-{number:05}-of-*")) and (
            shards.manifest().state == "committing"
        ), RUN)  # fmt: skip
    assert shards.run().code == 0
    assert shards.check() == undisturbed(10_000, settings)


def test_killed_when_run_again(tmp_path: Path) -> None:
    """A second run that is killed in its commit leaves what the first one made, or what it makes itself; never less."""
    settings = "file_rotate_size = 8k"
    shards = Shards(tmp_path, 10_000, settings)
    assert shards.run().code == 0
    made = shards.check()
    shards.job.killed(lambda: shards.manifest().state == "committing", RUN)
    shards.job.check(*shards.finals(), once=True)
    assert shards.run().code == 0
    assert shards.check() == made


@pytest.mark.parametrize("where", ["events-r-00003-of-00004.json", "events-r-00003-of-00004.json/"])
def test_somebody_elses_file(tmp_path: Path, undisturbed: Undisturbed, where: str) -> None:
    """What has a final name fails the job before any file has its name; without it the job completes."""
    settings = "file_rotate_size = 500k"
    shards = Shards(tmp_path, 6_000, settings)
    theirs = shards.out / where.rstrip("/")
    if where.endswith("/"):
        theirs.mkdir()
    else:
        theirs.write_bytes(b"theirs")
    ran = shards.run()
    assert ran.code == 1
    assert "events-r-00003-of-00004.json" in ran.err
    assert shards.finals() == ([theirs] if theirs.is_file() else [])
    if theirs.is_file():
        assert theirs.read_bytes() == b"theirs"
        theirs.unlink()
    else:
        theirs.rmdir()
    assert shards.run().code == 0
    assert shards.check() == undisturbed(6_000, settings)


@pytest.mark.parametrize(
    "where", ["events-r-00001-of-00004.json", ".dovebeam", ".dovebeam/r-x", MANIFEST, ".dovebeam/r-x/lock"]
)
def test_planted_link(tmp_path: Path, undisturbed: Undisturbed, where: str) -> None:
    """A link, wherever it is planted while the job runs, is not followed; the job fails, and completes without it."""
    settings = "file_rotate_size = 500k"
    shards = Shards(tmp_path, 6_000, settings)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    link = shards.out / where

    def plant() -> None:
        if link.exists():
            link.rename(tmp_path / "moved")
        link.symlink_to(outside if "." not in link.suffix else outside / "secret")

    ran = shards.job.disturbed(lambda: while_parts(shards), plant, RUN)
    assert ran.code == 1
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("secret", b"secret")]
    assert [path for path in shards.finals() if not path.is_symlink()] == []
    link.unlink()
    assert shards.run().code == 0
    assert shards.check() == undisturbed(6_000, settings)


@pytest.mark.parametrize(("size", "options"), [("600k", TWO_PROCESSES), ("2m", ())], ids=["parts", "files"])
def test_full_disk(tmp_path: Path, undisturbed: Undisturbed, size: str, options: tuple[str, ...]) -> None:
    """A disk that is full of parts, or of files, fails the job, and no file has its name; with more room it completes."""
    settings = "file_rotate_size = 200k"
    with small_disk(tmp_path / "disk", size) as disk:
        shards = Shards(tmp_path, 6_000, settings, out=disk)
        ran = shards.run(*options)
        assert ran.code == 1
        assert "No space left on device" in ran.err
        assert "make room" in ran.err
        assert shards.finals() == []
        mount("-o", "remount,size=8m", str(disk))
        assert shards.run(*options).code == 0
        assert shards.check() == undisturbed(6_000, settings)


def test_full_disk_again(tmp_path: Path) -> None:
    """A job that fails every time does not fill the disk with what it leaves."""
    with small_disk(tmp_path / "disk", "3m") as disk:
        shards = Shards(tmp_path, 4_000, out=disk)
        (disk / "ballast").write_bytes(b"x" * 1_500_000)
        for _ in range(3):
            assert shards.run().code == 1
        (disk / "ballast").unlink()
        assert shards.run().code == 0
        shards.check()


@pytest.mark.parametrize(("compression", "program"), [("none", "cat"), ("gzip", "zcat"), ("zstd", "zstdcat")])
def test_path_template(tmp_path: Path, compression: str, program: str) -> None:
    """Each path has its own files, which usual programs read."""
    out = tmp_path / "out"
    settings = [f"file_path = {out}", "file_path_template = {user}/%Y.json", f"file_compression = {compression}"]
    shards = Shards(tmp_path, 5_000, *settings, "file_rotate_size = 10k")
    assert shards.run(*(TWO_PROCESSES if compression == "gzip" else ())).code == 0
    shards.check()
    assert len({path.parent.name for path in shards.finals()}) == 50
    paths = sorted(map(str, (out / "u7").iterdir()))
    assert len(paths) > 1
    done = subprocess.run([require_program(program), *paths], capture_output=True, check=True, timeout=HANG_SECS)
    lines = done.stdout.splitlines()
    assert [json.loads(line)["fields"]["id"] for line in lines] == list(range(7, 5_000, 50))


def hours(folder: Path, count: int) -> Shards:
    """A job whose events are spread over three hours, with files for each."""
    shards = Shards(folder, 0, "file_rotate_interval = 1h")
    lines = [
        b'{"event":"e","end_time":"2019-06-19T1%d:38:25.000001Z","fields":{"id":%d}}' % (number % 3, number)
        for number in range(count)
    ]
    write_events(folder, lines)
    shards.job = FileJob(shards.job.config, shards.job.events, count)
    return shards


def test_rotation_by_time(tmp_path: Path) -> None:
    """Each hour has files of its own, with their window in the name."""
    shards = hours(tmp_path, 3_000)
    assert shards.run(*TWO_PROCESSES).code == 0
    shards.check()
    names = [f"events-20190619T1{hour}0000Z-r-00000-of-00001.json" for hour in range(3)]
    assert [path.name for path in shards.finals()] == names
    assert [set(ids(path)) for path in shards.finals()] == [set(range(hour, 3_000, 3)) for hour in range(3)]


def test_other_input(tmp_path: Path) -> None:
    """Under a name that was given, a run takes the place of the earlier one, whatever its input is."""
    shards = Shards(tmp_path, 6_000, "file_rotate_size = 100k")
    assert shards.run().code == 0
    assert len(shards.finals()) > 10
    fewer = Shards(tmp_path, 300, "file_rotate_size = 100k")
    assert fewer.run().code == 0
    fewer.check()
    write_config(
        tmp_path,
        exporter("x", "file", "json", f"file_path = {shards.out}/events.json", "file_writing = shards"),
        metric("m", "event=nothing", "x"),
    )
    assert fewer.run().code == 0
    assert fewer.finals() == []
    assert (fewer.manifest().files, fewer.manifest().state) == ((), "done")


def test_name_of_the_command(tmp_path: Path) -> None:
    """Without --run_id, the same command on the same input replaces its files; on other input it replaces none."""
    shards = Shards(tmp_path, 300)
    assert shards.job.run().code == 0
    [first] = [path for path in files_below(shards.out) if "manifest" not in path.name]
    assert shards.job.run(*TWO_PROCESSES).code == 0
    assert [path for path in files_below(shards.out) if "manifest" not in path.name] == [first]
    content = first.read_bytes()
    assert Shards(tmp_path, 400).job.run().code == 0
    assert len([path for path in files_below(shards.out) if "manifest" not in path.name]) == 2
    assert first.read_bytes() == content
