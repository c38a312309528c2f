"""Compressed files that are appended to, read by the real programs."""

from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.file.compression import DamagedError, pack, whole_end
from dovebeam.transforms.errors import DeliveryError
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS, require_program

READERS = {"gzip": ("zcat", ".gz"), "zstd": ("zstdcat", ".zst")}
BATCHES = [b"first\n", b"", b"x" * 300_000 + b"\n", bytes(range(256)) * 500, b"\0" * 200_000]


def end_of(data: bytes, compression: str, begin: int = 0) -> int:
    """Where the last whole part of some bytes ends."""
    return whole_end(lambda at, count: data[at : at + count], begin, len(data), compression)


def read_by_program(path: Path, compression: str) -> bytes:
    """What zcat or zstdcat makes of a file; it must have nothing to complain about."""
    program, _ = READERS[compression]
    done = subprocess.run([require_program(program), str(path)], capture_output=True, check=True, timeout=HANG_SECS)
    assert done.stderr == b""
    return done.stdout


@pytest.mark.parametrize("compression", READERS)
def test_batches_are_one_file(tmp_path: Path, compression: str) -> None:
    """Each batch is a whole of its own; the real programs read all of them, also over several connections."""
    lines = corpus_lines("events.json.gz")[:3000]
    driver = FileDriver(str(tmp_path / "events.json"), file_compression=compression)
    for part in range(0, 3000, 1000):
        with driver.open() as connection:
            for start in range(part, part + 1000, 250):
                assert connection.send(lines[start : start + 250]) == []
    (file,) = tmp_path.iterdir()
    assert file.name == f"events.json{READERS[compression][1]}"
    expected = b"".join(line + b"\n" for line in lines)
    assert read_by_program(file, compression) == expected
    assert file.stat().st_size < len(expected) / 4


@pytest.mark.parametrize("compression", READERS)
def test_name_that_has_the_suffix_keeps_it(tmp_path: Path, compression: str) -> None:
    """The suffix is not added twice."""
    path = tmp_path / f"events{READERS[compression][1]}"
    with FileDriver(str(path), file_compression=compression).open() as connection:
        connection.send([b"x"])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("compression", READERS)
def test_every_cut_is_found(compression: str) -> None:
    """Wherever a file was cut, the end of its last whole part is found."""
    parts = [pack(batch, compression) for batch in (b"one\n", b"", b"two\n" * 100, b"\0" * 200_000)]
    data, ends = b"", [0]
    for part in parts:
        data += part
        ends.append(len(data))
    for size in range(len(data) + 1):
        assert end_of(data[:size], compression) == max(end for end in ends if end <= size)


@settings(max_examples=50, deadline=None)
@given(batches=st.lists(st.sampled_from(BATCHES), max_size=4), cut=st.integers(1, 100_000))
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("compression", READERS)
def test_parts_of_other_programs(compression: str, foreign: bool, batches: list[bytes], cut: int) -> None:
    """Parts that other programs wrote are passed over too; their torn ends are found."""

    def foreign_pack(batch: bytes) -> bytes:
        if compression == "gzip":
            return gzip.compress(batch)
        parts = zstandard.ZstdCompressor(write_content_size=False).chunker(chunk_size=1000)
        return b"".join([*parts.compress(batch), *parts.finish()]) + b"\x5a\x2a\x4d\x18\x02\0\0\0xx"

    data = b"".join(map(foreign_pack if foreign else lambda batch: pack(batch, compression), batches))
    whole = data + pack(b"ours\n", compression)
    assert end_of(whole, compression) == len(whole)
    torn = pack(b"ours, but longer\n" * 20, compression)
    torn = torn[: cut % len(torn)]
    assert end_of(whole + torn, compression, begin=len(data)) == len(whole)
    assert end_of(whole + torn, compression) == len(whole)


@pytest.mark.parametrize("compression", READERS)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_end_somewhere(compression: str, data: bytes) -> None:
    """No bytes hang the search or raise anything but that they are damaged; nothing beyond the end is named."""
    for content in (data, pack(b"x", compression)[:6] + data, pack(b"x", compression) + data):
        try:
            assert 0 <= end_of(content, compression) <= len(content)
        except DamagedError as error:
            assert 0 <= error.offset <= len(content)


@pytest.mark.parametrize("keep", [1, 5, 15, 40])
@pytest.mark.parametrize("compression", READERS)
def test_torn_end_of_a_killed_process_is_removed(tmp_path: Path, compression: str, keep: int) -> None:
    """A part of a batch that was never acknowledged goes, so that what follows can be read; before and in a job."""
    path = tmp_path / f"out{READERS[compression][1]}"
    torn = pack(bytes(range(256)), compression)[:keep]
    path.write_bytes(pack(b"whole\n", compression) + torn)
    with FileDriver(str(path), file_compression=compression).open() as connection:
        connection.send([b"a"])
        with path.open("ab") as killed:
            killed.write(pack(b"another process's\n", compression) + torn)
        connection.send([b"b"])
    assert read_by_program(path, compression) == b"whole\na\nanother process's\nb\n"


@pytest.mark.parametrize("compression", READERS)
def test_torn_end_is_kept_while_another_program_has_the_lock(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what that program is writing; the batch fails, and is written once the lock is free."""
    monkeypatch.setattr("dovebeam.transforms.drivers.file.open_file._LOCK_WAIT_SECS", 0.05)
    path = tmp_path / f"out{READERS[compression][1]}"
    before = pack(b"whole\n", compression) + pack(b"torn\n", compression)[:-3]
    path.write_bytes(before)
    with FileDriver(str(path), file_compression=compression).open() as connection:
        with path.open("rb") as stranger:
            fcntl.flock(stranger, fcntl.LOCK_EX)
            with pytest.raises(DeliveryError, match="holds the lock of the file; stop it"):
                connection.send([b"a"])
            assert path.read_bytes() == before
        connection.send([b"a"])
    assert read_by_program(path, compression) == b"whole\na\n"


@pytest.mark.parametrize("compression", READERS)
def test_other_contents_are_left_alone(tmp_path: Path, compression: str) -> None:
    """A file that is something else is not touched; the error says where and what to do."""
    path = tmp_path / f"out{READERS[compression][1]}"
    before = pack(b"whole\n", compression) + b"not compressed\n"
    path.write_bytes(before)
    with FileDriver(str(path), file_compression=compression).open() as connection:
        with pytest.raises(DeliveryError, match=f"at byte {len(before) - 15}.*move the file"):
            connection.send([b"a"])
        assert path.read_bytes() == before
        path.rename(tmp_path / "elsewhere")
        connection.send([b"a"])
    assert read_by_program(path, compression) == b"a\n"


@pytest.mark.parametrize("compression", READERS)
def test_full_disk_in_the_middle_of_a_batch(tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of a batch is taken back, and the file can be read before and after the next one."""
    path = tmp_path / f"out{READERS[compression][1]}"
    write = os.write
    budget = [0]

    def limited_write(fd: int, data: bytes) -> int:
        size = min(len(data), budget[0])
        budget[0] -= size
        return write(fd, data[:size])

    with FileDriver(str(path), file_compression=compression).open() as connection:
        connection.send([b"before"])
        monkeypatch.setattr(os, "write", limited_write)
        for budget[0] in range(1, len(pack(b"lost\n", compression))):
            with pytest.raises(DeliveryError, match="No space left"):
                connection.send([b"lost"])
        assert read_by_program(path, compression) == b"before\n"
        monkeypatch.undo()
        connection.send([b"after"])
    assert read_by_program(path, compression) == b"before\nafter\n"
