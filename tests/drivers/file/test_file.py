"""The file driver, on real files."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from support.driver_contract import DriverContract
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Driver:
        return FileDriver(str(tmp_path / "events.json"))

    def test_empty_batch_makes_no_file(self, driver: FileDriver) -> None:
        """The file is opened by the first payload, not earlier."""
        with driver.open() as connection:
            connection.send([])
        assert not os.path.exists(driver.file_path)


def test_writes_what_dovecot_writes(tmp_path: Path) -> None:
    """Real events, payloads without line ends, become the lines of Dovecot's own file."""
    lines = corpus_lines("events.tab.gz")[:5000]
    target = tmp_path / "out"
    with FileDriver(str(target)).open() as connection:
        for start in range(0, len(lines), 128):
            assert connection.send(lines[start : start + 128]) == []
    assert target.read_bytes() == b"".join(line + b"\n" for line in lines)


def test_new_file_is_private(tmp_path: Path) -> None:
    """Mode 0600, as Dovecot makes it."""
    target = tmp_path / "out"
    with FileDriver(str(target)).open() as connection:
        connection.send([b"x"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_appends_and_keeps_the_mode(tmp_path: Path) -> None:
    """An existing file is neither truncated nor changed."""
    target = tmp_path / "out"
    target.write_bytes(b"before\n")
    target.chmod(0o644)
    for _ in range(2):
        with FileDriver(str(target)).open() as connection:
            connection.send([b"a", b""])
    assert target.read_bytes() == b"before\na\n\na\n\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_one_write_per_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is one system call, so no other process's line gets between its lines."""
    calls = []
    write = os.write

    def counting_write(fd: int, data: bytes) -> int:
        calls.append(len(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", counting_write)
    with FileDriver(str(tmp_path / "out")).open() as connection:
        connection.send([b"x" * 1000] * 500)
    assert calls == [500 * 1001]


def _symlink(path: Path) -> None:
    (path.parent / "real").write_bytes(b"")
    path.symlink_to(path.parent / "real")


@pytest.mark.parametrize(
    ("prepare", "number", "advice"),
    [
        (_symlink, errno.ELOOP, "symbolic link"),
        (lambda path: path.symlink_to("nowhere"), errno.ELOOP, "symbolic link"),
        (lambda path: path.mkdir(), errno.EISDIR, "name a file in that directory"),
        (os.mkfifo, errno.ENXIO, "a FIFO without a reader"),
    ],
    ids=["symlink", "dangling symlink", "directory", "fifo without reader"],
)
def test_refuses_to_open(tmp_path: Path, prepare: object, number: int, advice: str) -> None:
    """What cannot be a target is a DeliveryError in Dovecot's words, with advice; nothing hangs, nothing is written."""
    path = tmp_path / "out"
    prepare(path)  # type: ignore[operator]
    with FileDriver(str(path)).open() as connection, pytest.raises(DeliveryError) as caught:
        connection.send([b"x"])
    assert str(caught.value).startswith(f"open({path}) failed: {os.strerror(number)} (")
    assert advice in str(caught.value)
    assert caught.value.endpoint == str(path)
    assert not (tmp_path / "real").exists() or (tmp_path / "real").read_bytes() == b""


def test_makes_no_directory(tmp_path: Path) -> None:
    """A missing directory is an error and stays missing."""
    path = tmp_path / "missing" / "out"
    with (
        FileDriver(str(path)).open() as connection,
        pytest.raises(DeliveryError, match="create it or correct the path"),
    ):
        connection.send([b"x"])
    assert not path.parent.exists()


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_impossible_path_is_found_at_launch(path: str) -> None:
    """A path that can name nothing is refused where the driver is made, with the setting's name."""
    with pytest.raises(DriverSettingError, match="event_exporter_file_path"):
        FileDriver(path)


def test_full_device_fails_the_batch() -> None:
    """A full device is an error that says so, and so is the next batch."""
    with FileDriver("/dev/full").open() as connection:
        for _ in range(2):
            with pytest.raises(DeliveryError, match=r"No space left on device.*make room"):
                connection.send([b"x"])


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.integers(1, 40), max_size=6), number=st.sampled_from([0, errno.ENOSPC, errno.EIO, errno.EDQUOT])
)
def test_failed_write_leaves_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], number: int
) -> None:
    """However much of a batch was written before the error, it is taken back; sending it again makes no duplicate."""
    target = tmp_path_factory.mktemp("file") / "out"
    batch = [b"first line", b"second", b"third line"]
    write = os.write
    plan = iter(pieces)

    def failing_write(fd: int, data: bytes) -> int:
        size = next(plan, None)
        if size is not None:
            return write(fd, data[:size])
        if number == 0:
            return 0
        raise OSError(number, os.strerror(number))

    with FileDriver(str(target)).open() as connection:
        connection.send([b"before"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", failing_write)
            if sum(pieces) < sum(map(len, batch)) + len(batch):
                with pytest.raises(DeliveryError):
                    connection.send(batch)
                assert target.read_bytes() == b"before\n"
            else:
                connection.send(batch)
                return
        connection.send(batch)
    assert target.read_bytes() == b"before\nfirst line\nsecond\nthird line\n"


def test_torn_batch_is_kept_if_another_program_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else's bytes are ever truncated; then the next batch begins on a fresh line."""
    target = tmp_path / "out"
    write = os.write
    done: list[int] = []

    def failing_write(fd: int, data: bytes) -> int:
        if not done:
            done.append(write(fd, data[:4]))
            with target.open("ab") as other:
                other.write(b"[other program]")
            return 4
        raise OSError(errno.ENOSPC, "full")

    with FileDriver(str(target)).open() as connection:
        monkeypatch.setattr(os, "write", failing_write)
        with pytest.raises(DeliveryError):
            connection.send([b"payload"])
        monkeypatch.undo()
        connection.send([b"payload"])
    assert target.read_bytes() == b"payl[other program]\npayload\n"


def test_torn_end_of_a_killed_process_is_ended(tmp_path: Path) -> None:
    """A file that ends inside a line gets a fresh line first."""
    target = tmp_path / "out"
    target.write_bytes(b"whole\nto")
    with FileDriver(str(target)).open() as connection:
        connection.send([b"a"])
        connection.send([b"b"])
    assert target.read_bytes() == b"whole\nto\na\nb\n"


def test_lock_of_a_stranger_delays_but_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another program never releases is passed over after a while, as Dovecot knows no locks."""
    monkeypatch.setattr("dovebeam.transforms.drivers.file.open_file._LOCK_WAIT_SECS", 0.05)
    target = tmp_path / "out"
    target.touch()
    with target.open("rb") as stranger, FileDriver(str(target)).open() as connection:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        connection.send([b"a"])
    assert target.read_bytes() == b"a\n"


def test_fifo_with_a_reader_gets_the_lines(tmp_path: Path) -> None:
    """A FIFO works while somebody reads it, and a slow reader only slows the driver."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()), daemon=True)
    reader.start()
    payloads = [b"x" * 1000] * 300
    with FileDriver(str(fifo)).open() as connection:
        while True:
            try:
                connection.send([b"first"])
                break
            except DeliveryError:
                continue
        connection.send(payloads)
    reader.join(HANG_SECS)
    assert received == [b"first\n" + b"".join(p + b"\n" for p in payloads)]


def _append_many(path: str, name: bytes, batches: int) -> None:
    with FileDriver(path).open() as connection:
        for number in range(batches):
            connection.send([b"%s %d %d %s" % (name, number, line, name * 3000) for line in range(20)])


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Batches of several processes, far beyond PIPE_BUF, stay whole and in each process's order."""
    target = tmp_path / "out"
    spawn = multiprocessing.get_context("fork")
    names = [b"a", b"b", b"c"]
    workers = [spawn.Process(target=_append_many, args=(str(target), name, 40)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(HANG_SECS)
        assert worker.exitcode == 0
    lines = target.read_bytes().split(b"\n")
    assert lines.pop() == b""
    for name in names:
        own = [line for line in lines if line.startswith(name)]
        expected = [b"%s %d %d %s" % (name, n, line, name * 3000) for n in range(40) for line in range(20)]
        assert own == expected
    batches = [lines[start : start + 20] for start in range(0, len(lines), 20)]
    assert all(len({line[:1] for line in batch}) == 1 for batch in batches)
