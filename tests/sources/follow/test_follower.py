"""`Follower`: every line once, whatever becomes of the files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dovebeam.transforms.sources import Block
from dovebeam.transforms.sources.follow import Follower, FollowSettings, make_target
from dovebeam.transforms.sources.follow import follower as follower_module
from dovebeam.transforms.sources.follow.records import FollowState, decode_state
from support.open_files import open_files

ALL = 1 << 30


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look around at each read, so that no test waits for one."""
    monkeypatch.setattr(follower_module, "_SCAN_SECS", 0.0)


class Reader:
    """A follower and all that it gave."""

    def __init__(self, *names: object, grace_msec: int = 50, max_line_bytes: int = 1 << 24) -> None:
        self._targets = [make_target(str(name)) for name in names]
        self._settings = FollowSettings(grace_msec=grace_msec, max_line_bytes=max_line_bytes)
        self._follower = Follower(self._targets, self._settings, FollowState())
        self.blocks: list[Block] = []

    def read(self, rounds: int = 4) -> list[str]:
        """The lines that a few rounds give."""
        found: list[Block] = []
        for _ in range(rounds):
            found += self._follower.read(ALL, time.monotonic() + 60)
        self.blocks += found
        return [line.decode() for block in found for line in block.data.splitlines()]

    def restart(self) -> None:
        """Another process takes over, with what was stored."""
        stored = self._follower.snapshot()
        self._follower.close()
        self._follower = Follower(self._targets, self._settings, decode_state(stored, "state"))

    def close(self) -> None:
        self._follower.close()


def lines(begin: int, end: int) -> str:
    """Lines that are told apart by their numbers."""
    return "".join(f'{{"n":{n:060}}}\n' for n in range(begin, end))


def numbers(found: list[str]) -> list[int]:
    """Their numbers."""
    return [int(line[5:-1]) for line in found]


def append(path: Path, text: str) -> None:
    """As a writer does it that opens a file for appending."""
    with path.open("a") as file:
        file.write(text)


def rename(log: Path, to: str = "log.1") -> None:
    """Rotation that keeps the inode."""
    log.rename(log.with_name(to))


def copy_and_empty(log: Path, to: str = "log.1") -> None:
    """Rotation that keeps the name."""
    shutil.copyfile(log, log.with_name(to))
    os.truncate(log, 0)


ROTATIONS = [rename, copy_and_empty]


def test_reads_what_is_there_and_what_comes(tmp_path: Path) -> None:
    """A file is read from its start, then on as it grows, each line once."""
    log = tmp_path / "log"
    append(log, lines(0, 3))
    reader = Reader(log)
    assert numbers(reader.read()) == [0, 1, 2]
    assert reader.read() == []
    append(log, lines(3, 5))
    assert numbers(reader.read()) == [3, 4]
    reader.close()


def test_a_line_in_pieces_waits_for_its_end(tmp_path: Path) -> None:
    """What has no line feed yet is not taken for a line, however long it takes."""
    log = tmp_path / "log"
    append(log, '{"n":0')
    reader = Reader(log)
    time.sleep(0.1)
    assert reader.read() == []
    append(log, '0}\n{"n"')
    assert reader.read() == ['{"n":00}']
    reader.restart()
    append(log, ":1}\n")
    assert reader.read() == ['{"n":1}']
    reader.close()


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("name", ["log", "log*", "."])
@pytest.mark.parametrize("to", ["log.1", "log-20261122", "log.old"])
def test_rotation(tmp_path: Path, rotate: Callable[[Path, str], None], restart: bool, name: str, to: str) -> None:
    """What was written between the last look and the rotation is read once, and so is what comes after it."""
    log = tmp_path / "log"
    append(log, lines(0, 30))
    reader = Reader(tmp_path / name)
    assert numbers(reader.read()) == list(range(30))
    append(log, lines(30, 40))
    rotate(log, to)
    append(log, lines(40, 45))
    if restart:
        reader.restart()
    assert sorted(numbers(reader.read())) == list(range(30, 45))
    append(log, lines(45, 90))
    assert numbers(reader.read()) == list(range(45, 90))
    reader.restart()
    assert reader.read() == []
    reader.close()


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("name", ["log", "log*", "."])
def test_many_rotations(tmp_path: Path, rotate: Callable[[Path], None], name: str) -> None:
    """Twenty rotations, older generations renamed each time, some without a look in between, with restarts."""
    log = tmp_path / "log"
    reader = Reader(tmp_path / name)
    found, written = [], 0
    for turn in range(20):
        append(log, lines(written, written + 30))
        written += 30
        if turn % 3 != 1:
            found += reader.read(1)
        append(log, lines(written, written + 5))
        written += 5
        for old in range(turn, 0, -1):
            (tmp_path / f"log.{old}").rename(tmp_path / f"log.{old + 1}")
        rotate(log)
        if turn % 5 == 4:
            reader.restart()
    found += reader.read(20)
    assert sorted(numbers(found)) == list(range(written))
    reader.close()


@pytest.mark.parametrize("name", ["log", "log*", "."])
def test_a_copy_in_the_making(tmp_path: Path, name: str) -> None:
    """A copy is seen at every size, from nothing to the whole, and none of its lines is lost or comes twice."""
    log = tmp_path / "log"
    append(log, lines(0, 40))
    reader = Reader(tmp_path / name)
    found = reader.read()
    append(log, lines(40, 42))
    content = log.read_bytes()
    with (tmp_path / "log.1").open("wb", buffering=0) as file:
        for begin in range(0, len(content), 173):
            found += reader.read(1)
            file.write(content[begin : begin + 173])
    append(log, lines(42, 43))
    found += reader.read()
    os.truncate(log, 0)
    append(log, lines(43, 44))
    found += reader.read()
    reader.close()
    assert sorted(numbers(found)) == list(range(44))


def test_a_backup_is_not_read_again(tmp_path: Path) -> None:
    """A copy with the name of a rotated file is not new while the original is there, nor after a restart."""
    log = tmp_path / "log"
    append(log, lines(0, 40))
    reader = Reader(tmp_path)
    reader.read()
    shutil.copyfile(log, tmp_path / "log.bak")
    assert reader.read() == []
    reader.restart()
    append(log, lines(40, 50))
    assert numbers(reader.read()) == list(range(40, 50))
    reader.close()


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("name", ["log", "log*", "."])
@pytest.mark.parametrize(("before", "after"), [(500, 501), (500, 20), (3, 2), (3, 4), (3, 500), (100, 100)])
def test_files_that_begin_alike(
    tmp_path: Path, rotate: Callable[[Path], None], name: str, before: int, after: int
) -> None:
    """Lines without times repeat; a new file of such lines is no copy of the one before."""
    log = tmp_path / "log"
    append(log, '{"n":1}\n' * before)
    reader = Reader(tmp_path / name)
    assert len(reader.read()) == before
    rotate(log)
    found = reader.read()
    append(log, '{"n":1}\n' * after)
    found += reader.read()
    assert len(found) == after
    reader.close()


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_rotated_while_nobody_looked(tmp_path: Path, rotate: Callable[[Path], None]) -> None:
    """Several generations came while the job was stopped; all are read, though only one file is named."""
    log = tmp_path / "log"
    append(log, lines(0, 30))
    reader = Reader(log)
    found = reader.read()
    for turn in range(3):
        append(log, lines(30 + 20 * turn, 50 + 20 * turn))
        for old in range(turn, 0, -1):
            (tmp_path / f"log.{old}").rename(tmp_path / f"log.{old + 1}")
        rotate(log)
    append(log, lines(90, 95))
    reader.restart()
    assert sorted(numbers(found + reader.read())) == list(range(95))
    reader.close()


def test_what_was_rotated_before_the_start_is_left_alone(tmp_path: Path) -> None:
    """Who begins to follow a file wants it, not the generations of last month."""
    append(tmp_path / "log.1", lines(0, 30))
    append(tmp_path / "log", lines(30, 60))
    reader = Reader(tmp_path / "log")
    assert numbers(reader.read()) == list(range(30, 60))
    (tmp_path / "log.1").rename(tmp_path / "log.2")
    rename(tmp_path / "log")
    append(tmp_path / "log", lines(60, 61))
    assert numbers(reader.read()) == [60]
    reader.close()


def test_a_file_that_lost_its_name_ends_with_a_line(tmp_path: Path) -> None:
    """A last line without an end is a line once its file was rotated and quiet for a while."""
    log = tmp_path / "log"
    append(log, lines(0, 2) + '{"n":2}')
    reader = Reader(log, grace_msec=300)
    assert numbers(reader.read()) == [0, 1]
    rename(log)
    assert reader.read() == []
    time.sleep(0.35)
    assert reader.read() == ['{"n":2}']
    assert reader.read() == []
    reader.close()


def test_a_removed_file_is_read_to_its_end(tmp_path: Path) -> None:
    """As long as it is open it can be read, and its writer may not know yet."""
    log = tmp_path / "log"
    append(log, lines(0, 2))
    reader = Reader(log)
    reader.read()
    with log.open("a", buffering=1) as file:
        log.unlink()
        file.write(lines(2, 4))
        append(log, lines(4, 6))
        assert sorted(numbers(reader.read())) == [2, 3, 4, 5]
    reader.close()


def test_a_cut_end_is_no_rotation(tmp_path: Path) -> None:
    """A writer that takes back what a full disk cut short loses nothing by it."""
    log = tmp_path / "log"
    append(log, lines(0, 40))
    reader = Reader(log)
    reader.read()
    os.truncate(log, len(lines(0, 38)))
    reader.read()
    append(log, lines(38, 42))
    found = numbers(reader.read())
    assert found[-4:] == [38, 39, 40, 41]
    reader.close()


def test_a_file_that_comes_later(tmp_path: Path) -> None:
    """A name may be that of a file to come; so may a pattern match nothing yet."""
    reader = Reader(tmp_path / "log", tmp_path / "*.json")
    assert reader.read() == []
    append(tmp_path / "log", lines(0, 1))
    append(tmp_path / "a.json", lines(1, 2))
    assert sorted(numbers(reader.read())) == [0, 1]
    reader.close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.gz", b"\x1f\x8b\x08..."),
        (".hidden", b'{"n":1}\n'),
        ("packed", b"\x1f\x8b\x08...\n"),
        ("container", b"Obj\x01...\n"),
    ],
)
def test_what_holds_no_lines_is_passed_over(tmp_path: Path, name: str, content: bytes) -> None:
    """Compressed files are told by their names or their content, hidden ones by their names."""
    (tmp_path / name).write_bytes(content)
    append(tmp_path / "log", lines(0, 1))
    reader = Reader(tmp_path)
    assert numbers(reader.read()) == [0]
    reader.close()


def test_a_compressed_generation_is_not_read_again(tmp_path: Path) -> None:
    """What was read before it was compressed is not read out of the compressed file."""
    log = tmp_path / "log"
    append(log, lines(0, 30))
    reader = Reader(log)
    reader.read()
    rename(log)
    reader.read()
    (tmp_path / "log.1").rename(tmp_path / "log.1.gz")  # as far as a name goes
    append(log, lines(30, 31))
    assert numbers(reader.read()) == [30]
    reader.close()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What is found in a directory may have been put there by anybody."""
    secret, spool = tmp_path / "secret", tmp_path / "spool"
    append(secret, lines(0, 2))
    spool.mkdir()
    (spool / "log").symlink_to(secret)
    reader = Reader(spool, spool / "l*")
    assert reader.read() == []
    reader.close()


def test_long_lines(tmp_path: Path) -> None:
    """A line beyond the limit comes as its head and its length, the lines around it as they are."""
    log = tmp_path / "log"
    append(log, lines(0, 1))
    reader = Reader(log, max_line_bytes=300_000)
    reader.read()
    append(log, "x" * 200_000)
    assert reader.read() == []
    append(log, "y" * 1_000_000)
    assert reader.read() == []
    append(log, "z\r\n" + "w" * 300_000 + "\n" + lines(1, 2))
    reader.blocks.clear()
    reader.read(8)
    long, allowed, last = reader.blocks
    assert (long.overlong_bytes, len(long.data), long.data[:1]) == (1_200_001, 64 * 1024, b"x")
    assert (allowed.overlong_bytes, len(allowed.data)) == (0, 300_001)
    assert last.data.decode() == lines(1, 2)
    starts = [len(lines(0, 1)), len(lines(0, 1)) + 1_200_003, len(lines(0, 1)) + 1_200_003 + 300_001]
    assert [block.offset for block in reader.blocks] == starts
    reader.close()


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_origin_stays_through_rotation(tmp_path: Path, rotate: Callable[[Path], None]) -> None:
    """Lines of one file have one origin and their true offsets; another file of the same name has another."""
    log = tmp_path / "log"
    append(log, lines(0, 20))
    reader = Reader(log)
    reader.read()
    append(log, lines(20, 21))
    rotate(log)
    append(log, lines(21, 22))
    reader.restart()
    reader.read()
    first, *rest = reader.blocks
    assert first.uri.startswith(f"{log}#")
    assert {(block.uri == first.uri, block.offset) for block in rest} == {(True, len(lines(0, 20))), (False, 0)}
    reader.close()


def test_going_back(tmp_path: Path) -> None:
    """A bundle that failed is read again, with the same blocks."""
    log = tmp_path / "log"
    append(log, lines(0, 20))
    follower = Follower([make_target(str(log))], FollowSettings(), FollowState())
    before = follower.snapshot()
    first = list(follower.read(ALL, time.monotonic() + 60))
    follower.restore(decode_state(before, "state"))
    assert list(follower.read(ALL, time.monotonic() + 60)) == first
    follower.close()


def test_a_read_is_bounded(tmp_path: Path) -> None:
    """Neither more than about the asked bytes, nor longer than the deadline."""
    log = tmp_path / "log"
    append(log, lines(0, 40_000))
    follower = Follower([make_target(str(log))], FollowSettings(), FollowState())
    assert sum(len(block.data) for block in follower.read(300_000, time.monotonic() + 60)) < 600_000
    assert len(list(follower.read(ALL, time.monotonic()))) == 1
    follower.close()


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    """Each gets its turn, at once, and what was read makes room for the others."""
    for number in range(60):
        append(tmp_path / f"log{number:02}", lines(number, number + 1))
    follower = Follower([make_target(str(tmp_path))], FollowSettings(max_open=10), FollowState())
    found: list[Block] = []
    for _ in range(6):
        found += follower.read(ALL, time.monotonic() + 60)
        assert len(open_files(tmp_path)) <= 10
    assert sorted(numbers([block.data.decode().strip() for block in found])) == list(range(60))
    follower.close()


TAB = ["event:one\thostname:h", "event:two\thostname:h"]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("hole", [5, 2000, 40 * 1024 * 1024])
def test_truncated_under_a_writer_that_does_not_append(tmp_path: Path, hole: int, restart: bool) -> None:
    """It writes on where it was, behind a hole: each line comes once, and where it stands."""
    log = tmp_path / "log"
    with log.open("wb") as writer:
        reader = Reader(log, max_line_bytes=1 << 20)
        os.truncate(log, hole)
        writer.seek(hole)
        writer.write(f"{TAB[0]}\n".encode())
        writer.flush()
        assert reader.read(200) == TAB[:1]
        for generation in range(2):
            shutil.copyfile(log, log.with_name(f"log.{generation + 1}"))
            os.truncate(log, 0)
            if restart:
                reader.restart()
            writer.write(f"{TAB[1]}\n".encode())
            writer.flush()
            assert reader.read(200) == TAB[1:]
    assert [block.format for block in reader.blocks] == ["tab-text"] * 3
    assert [block.nuls for block in reader.blocks] == [hole, hole + 21, hole + 42]
    assert [block.offset for block in reader.blocks] == [hole, hole + 21, hole + 42]
    reader.close()


def test_zero_bytes_between_lines_that_grow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those at the end wait for what comes, those within a line tear it off; each is counted once, and told."""
    log = tmp_path / "log"
    log.write_bytes(b"{1}\n\0\0")
    reader = Reader(log)
    assert reader.read() == ["{1}"]
    append(log, "\0{2}\n{3\0\0")
    assert reader.read() == ["{2}"]
    append(log, "{4}\n{5}\n")
    assert reader.read() == ["{3", "{4}", "{5}"]
    assert sum(block.nuls for block in reader.blocks) == 5
    assert f"{log}: 3 NUL bytes before byte 7 were skipped" in caplog.messages
    reader.close()


def test_a_link_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a directory that is followed a link is passed over with a warning, once."""
    (tmp_path / "elsewhere").write_bytes(b"{1}\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "link").symlink_to("../elsewhere")
    reader = Reader(tmp_path / "logs")
    assert reader.read() == []
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}/logs/link: is a symbolic link and is not followed")
    reader.close()
