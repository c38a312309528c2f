"""The directory of lines."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dovebeam.pipelines.collect.spool import Spool, SpoolSettings
from dovebeam.transforms.errors import DeliveryError
from support.jobs.collector import spooled
from support.jobs.file_jobs import small_disk
from support.open_files import open_files


def files(folder: Path) -> list[Path]:
    """Those of lines, in their order."""
    return sorted(folder.glob("*.lines"))


@pytest.mark.parametrize("fsync", ["none", "batch", "always"])
def test_append(fsync: str, tmp_path: Path) -> None:
    """Lines are in the file at once, whatever is forced to the disk; nobody else may read them."""
    with Spool(str(tmp_path / "s"), SpoolSettings(fsync=fsync)) as spool:
        spool.append([b"1\n", b"2\n3\n"])
        spool.append([b"4\n"])
        spool.tick()
        assert spooled(tmp_path / "s") == [b"1", b"2", b"3", b"4"]
        assert files(tmp_path / "s")[0].stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_rotation_by_size(tmp_path: Path) -> None:
    """A file that has enough gets no more; names sort in the order of the lines."""
    with Spool(str(tmp_path), SpoolSettings(rotate_size=10)) as spool:
        for number in range(100):
            spool.append([b"%d\n" % number])
    assert spooled(tmp_path) == [b"%d" % number for number in range(100)]
    assert all(10 <= path.stat().st_size < 13 for path in files(tmp_path)[:-1])


def test_rotation_by_time(tmp_path: Path) -> None:
    """A file that is old enough is finished without waiting for another line."""
    with Spool(str(tmp_path), SpoolSettings(rotate_interval=1)) as spool:
        spool.append([b"1\n"])
        time.sleep(1.1)
        spool.tick()
        assert files(tmp_path)[0] not in open_files(tmp_path)
        spool.append([b"2\n"])
    assert [path.read_bytes() for path in files(tmp_path)] == [b"1\n", b"2\n"]


def test_a_new_start_begins_a_new_file(tmp_path: Path) -> None:
    """Nothing is glued to what a power failure cut; a clock that was set back does not change the order."""
    (tmp_path / "29991231T235959.999998Z.lines").write_bytes(b"whole\ntor")
    with Spool(str(tmp_path), SpoolSettings()) as spool:
        spool.append([b"new\n"])
    assert [path.name for path in files(tmp_path)] == [f"29991231T235959.99999{n}Z.lines" for n in (8, 9)]
    assert [path.read_bytes() for path in files(tmp_path)] == [b"whole\ntor", b"new\n"]


def test_keep(tmp_path: Path) -> None:
    """Finished files that are old enough go; younger ones, the current one and those of others stay."""
    old = [tmp_path / "20200101T000000.000000Z.lines", tmp_path / "mine.lines", tmp_path / "20200101.txt"]
    young = tmp_path / "20200101T000000.000001Z.lines"
    for path in [*old, young]:
        path.write_bytes(b"x\n")
    for path in old:
        os.utime(path, (0, 0))
    with Spool(str(tmp_path), SpoolSettings(keep=60)) as spool:
        spool.append([b"y\n"])
        os.utime(files(tmp_path)[-2], (0, 0))  # the current one: a disk's clock may be wrong
        spool.tick()
        assert {path.name for path in files(tmp_path)} >= {young.name, "mine.lines"}
        assert not old[0].exists()
        assert old[2].exists()
        assert b"y" in spooled(tmp_path)


def test_one_writer(tmp_path: Path) -> None:
    """A second one is refused, from another process, too, until the first is closed."""
    open_it = "import sys; from dovebeam.pipelines.collect.spool import *; Spool(sys.argv[1], SpoolSettings())"
    command = [sys.executable, "-c", open_it, str(tmp_path)]
    with Spool(str(tmp_path), SpoolSettings()):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"another collector writes to {tmp_path}" in done.stderr
        with pytest.raises(DeliveryError, match="another collector"):
            Spool(str(tmp_path), SpoolSettings())
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_put_aside(tmp_path: Path) -> None:
    """Pieces go into a directory that no follower of lines looks into."""
    with Spool(str(tmp_path), SpoolSettings()) as spool:
        spool.put_aside([b"to\n", b"rn\n"])
        spool.put_aside([b"again\n"])
    (path,) = (tmp_path / "torn").iterdir()
    assert path.read_bytes() == b"to\nrn\nagain\n"
    assert files(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither the lock nor the file of pieces is written through a symbolic link."""
    victim = tmp_path / "victim"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".lock").symlink_to(victim)
    with pytest.raises(DeliveryError, match="symbolic link"):
        Spool(str(tmp_path / "s"), SpoolSettings())
    (tmp_path / "s" / ".lock").unlink()
    with Spool(str(tmp_path / "s"), SpoolSettings()) as spool:
        spool.put_aside([b"x\n"])
        (aside,) = (tmp_path / "s" / "torn").iterdir()
        aside.unlink()
        aside.symlink_to(victim)
        with pytest.raises(DeliveryError, match="symbolic link"):
            spool.put_aside([b"x\n"])
    assert not victim.exists()


@pytest.mark.parametrize("missing", ["no/s", "file/s"])
def test_no_directory(missing: str, tmp_path: Path) -> None:
    """Parents are not made; the error says what is wrong."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeliveryError, match=r"failed: (No such file|Not a directory)"):
        Spool(str(tmp_path / missing), SpoolSettings())


def fill(spool: Spool, written: list[bytes]) -> None:
    """Writes lines until it is refused; keeps account of those that were not."""
    for number in range(100):
        line = b"%d %s\n" % (number, b"x" * 1000)
        spool.append([line])
        written.append(line)


@pytest.mark.parametrize("fsync", ["none", "batch", "always"])
def test_a_full_disk(fsync: str, tmp_path: Path) -> None:
    """What does not fit leaves no trace, what did fit stays, and it goes on when there is room."""
    with small_disk(tmp_path / "disk", "64k") as disk, Spool(str(disk), SpoolSettings(fsync=fsync)) as spool:
        (disk / "room").write_bytes(b"x" * 16384)
        written: list[bytes] = []
        with pytest.raises(DeliveryError, match="the disk is full"):
            fill(spool, written)
        assert 0 < len(written) < 64
        assert b"".join(path.read_bytes() for path in files(disk)) == b"".join(written)
        with pytest.raises(DeliveryError, match="the disk is full"):
            spool.append([b"x" * 5000 + b"\n"])
        (disk / "room").unlink()
        spool.append([b"again\n"])
        assert b"".join(path.read_bytes() for path in files(disk)) == b"".join([*written, b"again\n"])
