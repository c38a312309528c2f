"""Files that are moved, removed, replaced or full while they are written; many files, many processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from dovebeam.transforms.drivers import Batch, FileDriver
from dovebeam.transforms.drivers.file.open_file import OpenFile
from dovebeam.transforms.errors import DeliveryError
from support.open_files import open_files
from support.programs import HANG_SECS


def routed(base: Path, **settings: object) -> FileDriver:
    """A driver that sends each payload below a directory."""
    return FileDriver(str(base), file_path_template="{user}", **settings)  # type: ignore[arg-type]


def batch(**lines: str) -> Batch:
    """One payload per path; a double underscore is a slash."""
    return Batch([line.encode() for line in lines.values()], (), [path.replace("__", "/") for path in lines])


def content(folder: Path) -> dict[str, str]:
    """All files below a directory."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if not path.is_dir()}


def _rename(path: Path) -> None:
    path.rename(path.with_name("moved"))


def _replace(path: Path) -> None:
    path.with_name("other").write_text("other\n")
    path.with_name("other").rename(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_rename, {"moved": "a\n", "out": "b\n"}),
        (Path.unlink, {"out": "b\n"}),
        (_replace, {"out": "other\nb\n"}),
        (lambda path: os.truncate(path, 0), {"out": "b\n"}),
    ],
    ids=["renamed", "removed", "replaced", "truncated"],
)
def test_file_that_was_changed_is_opened_anew(tmp_path: Path, change: object, expected: dict[str, str]) -> None:
    """The next batch goes into the file that has the name, as after Dovecot's `doveadm stats reopen`."""
    with FileDriver(str(tmp_path / "out")).open() as connection:
        connection.send([b"a"])
        change(tmp_path / "out")  # type: ignore[operator]
        connection.send([b"b"])
    assert content(tmp_path) == expected


def test_link_planted_at_an_open_file(tmp_path: Path) -> None:
    """A link that takes the place of a file under a running job is refused, and its target is not touched."""
    path, target = tmp_path / "out", tmp_path / "target"
    target.write_text("mine\n")
    with FileDriver(str(path)).open() as connection:
        connection.send([b"a"])
        path.rename(tmp_path / "moved")
        path.symlink_to(target)
        with pytest.raises(DeliveryError, match=os.strerror(errno.ELOOP)):
            connection.send([b"b"])
        path.unlink()
        connection.send([b"b"])
    assert content(tmp_path) == {"moved": "a\n", "out": "b\n", "target": "mine\n"}


@pytest.mark.parametrize("before", [False, True])
def test_link_in_the_place_of_a_directory(tmp_path: Path, before: bool) -> None:
    """No directory below the base may be a link, neither at first nor later."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    with routed(base).open() as connection:
        if before:
            connection.send(batch(joe__x="a"))
            (base / "joe").rename(base / "moved")
        (base / "joe").symlink_to(outside)
        with pytest.raises(DeliveryError, match="symbolic link"):
            connection.send(batch(joe__x="b"))
    assert content(outside) == {}


def test_base_may_be_reached_by_a_link_but_is_not_made(tmp_path: Path) -> None:
    """The base is the operator's: a link to it is fine, and a missing one is an error that stays."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with routed(tmp_path / "link").open() as connection:
        connection.send(batch(a__b="x"))
    assert content(tmp_path / "real") == {"a/b": "x\n"}
    with routed(tmp_path / "missing").open() as connection, pytest.raises(DeliveryError, match="create it"):
        connection.send(batch(a__b="x"))
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/../x", "", ".", "..", "a/", "a\0b"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: str) -> None:
    """Even a path that no router makes cannot leave the base."""
    base = tmp_path / "base"
    base.mkdir()
    with routed(base).open() as connection, pytest.raises(DeliveryError, match="Invalid argument"):
        connection.send(Batch([b"x"], (), [path]))
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    ("permissions", "umask", "file", "folder"),
    [
        ("0600", 0o022, 0o600, 0o700),
        ("0640", 0o022, 0o640, 0o750),
        ("644", 0o022, 0o644, 0o755),
        ("0666", 0o022, 0o644, 0o755),
        ("0660", 0o007, 0o660, 0o770),
        ("0620", 0o000, 0o620, 0o730),
    ],
)
def test_permissions(tmp_path: Path, permissions: str, umask: int, file: int, folder: int) -> None:
    """New files and directories have the mode that was asked for, reduced by the umask."""
    before = os.umask(umask)
    try:
        with routed(tmp_path, file_permissions=permissions).open() as connection:
            connection.send(batch(joe__x="a"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "joe" / "x").stat().st_mode) == file
    assert stat.S_IMODE((tmp_path / "joe").stat().st_mode) == folder


def test_payloads_of_each_file_keep_their_order(tmp_path: Path) -> None:
    """A batch is split by its paths; within each file the order is that of the batch."""
    numbers = range(1000)
    with routed(tmp_path).open() as connection:
        connection.send(Batch([b"%d" % n for n in numbers], (), [f"{n % 7}/{n % 3}" for n in numbers]))
    assert content(tmp_path) == {
        f"{a}/{b}": "".join(f"{n}\n" for n in numbers if (n % 7, n % 3) == (a, b)) for a in range(7) for b in range(3)
    }


@pytest.mark.parametrize("paths", [[], ["a"]])
def test_payloads_without_a_path(tmp_path: Path, paths: list[str]) -> None:
    """Formatted payloads whose events nobody knows are an error instead of lost or mixed up."""
    with routed(tmp_path).open() as connection, pytest.raises(DeliveryError, match="need the events"):
        connection.send(Batch([b"x", b"y"], (), paths))
    assert content(tmp_path) == {}


def test_so_many_files_are_open(tmp_path: Path) -> None:
    """Of thousands of files only so many are open at a time; each gets all that is its own."""
    driver = routed(tmp_path, file_max_open=5)
    with driver.open() as connection:
        for turn in range(3):
            numbers = range(1500)
            connection.send(Batch([b"%d" % turn] * 1500, (), [f"{n % 10}/{n}" for n in numbers]))
            assert len(open_files(tmp_path)) <= 5
    assert open_files(tmp_path) == []
    assert set(content(tmp_path).values()) == {"0\n1\n2\n"}


def test_error_of_a_file_that_is_closed_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system reports only when a file is closed fails the batch; all others are closed all the same."""
    close = OpenFile.close

    def failing_close(file: OpenFile) -> None:
        close(file)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    connection = routed(tmp_path, file_max_open=2).open()
    connection.send(batch(a="1", b="2"))
    monkeypatch.setattr(OpenFile, "close", failing_close)
    with pytest.raises(DeliveryError, match=rf"close\({tmp_path}/a\) failed: .*make room"):
        connection.send(batch(c="3"))
    connection.send(batch(b="2"))
    with pytest.raises(DeliveryError, match=rf"close\({tmp_path}/b\) failed"):
        connection.close()
    assert open_files(tmp_path) == []


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [
        ([4, 4, 4], 10, {"out.json": [4], "out~1.json": [4, 4]}),
        ([4, 4, 4, 4, 4], 10, {"out.json": [4], "out~1.json": [4, 4], "out~2.json": [4, 4]}),
        ([20, 4, 20], 10, {"out.json": [20], "out~1.json": [20], "out~2.json": [4]}),
        ([5, 5], 10, {"out.json": [5, 5]}),
        ([4, 4], 0, {"out.json": [4, 4]}),
    ],
)
def test_full_files_get_numbers(tmp_path: Path, sizes: list[int], limit: int, expected: dict[str, list[int]]) -> None:
    """A file that a batch would make too big gets the next number; the newest lines have the plain name."""
    with FileDriver(str(tmp_path / "out.json"), file_rotate_size=limit).open() as connection:
        for size in sizes:
            connection.send([b"x" * (size - 1)])
    found = {name: [len(line) + 1 for line in text.splitlines()] for name, text in content(tmp_path).items()}
    assert found == expected


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_batch_that_fills_several_files(tmp_path: Path, compression: str) -> None:
    """A batch larger than a file may be is cut between its lines; only a longer line makes a larger file."""
    lines = [b"%03d" % number for number in range(100)] + [b"x" * 300] + [b"%03d" % number for number in range(100)]
    with FileDriver(str(tmp_path / "x"), file_rotate_size=100, file_compression=compression).open() as connection:
        connection.send(lines)
    files = sorted(tmp_path.iterdir(), key=lambda path: int(path.stem.partition("~")[2] or "999"))
    assert [line for path in files for line in _lines(path, compression)] == lines
    assert len([path for path in files if path.stat().st_size > 100]) <= 1


def test_numbers_go_on_and_overwrite_nothing(tmp_path: Path) -> None:
    """The next number is above all that exist, also between connections; what has one already is not touched."""
    for name in ("out~7.json", "out~x.json", "out~.json", "out~9.json.bak", "outer~50.json", "out~007.json"):
        (tmp_path / name).write_text("mine")
    for _ in range(3):
        with FileDriver(str(tmp_path / "out.json"), file_rotate_size=3).open() as connection:
            connection.send([b"a"])
            connection.send([b"b"])
            (tmp_path / "out~12.json").touch()
    mine = {name for name, text in content(tmp_path).items() if text == "mine"}
    assert mine == {"out~7.json", "out~x.json", "out~.json", "out~9.json.bak", "outer~50.json", "out~007.json"}
    numbered = {name: text for name, text in content(tmp_path).items() if text in {"a\n", "b\n"}}
    assert numbered == {
        "out~8.json": "a\n", "out~13.json": "b\n", "out~14.json": "a\n", "out~15.json": "b\n", "out~16.json": "a\n",
        "out.json": "b\n",
    }  # fmt: skip


def test_number_of_a_user_cannot_be_taken(tmp_path: Path) -> None:
    """A user whose name looks like a numbered file has a file of another name."""
    driver = FileDriver(str(tmp_path), file_path_template="{user}.json", file_rotate_size=3)
    router = driver.router()
    assert router is not None
    from dovebeam.transforms.events.event import make_event

    paths = [router.route(make_event("x", fields={"user": user})) for user in ("joe", "joe", "joe~1")]
    with driver.open() as connection:
        for path, line in zip(paths, (b"a", b"b", b"c"), strict=True):
            connection.send(Batch([line], (), [path]))
    assert content(tmp_path) == {"joe.json": "b\n", "joe~1.json": "a\n", "joe%7E1.json": "c\n"}


def _append_many(driver: FileDriver, name: bytes, batches: int) -> None:
    with driver.open() as connection:
        for number in range(batches):
            paths = [f"{line % 2}/x.json" for line in range(20)] if driver.router() else []
            connection.send(Batch([b"%s %d %d %s" % (name, number, line, name * 300) for line in range(20)], (), paths))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("template", ["", "{user}"])
def test_processes_share_files_that_rotate(tmp_path: Path, compression: str, template: str) -> None:
    """Several processes append to, put aside and open anew the same files; every line is there once and whole."""
    target = tmp_path if template else tmp_path / "x.json"
    limit = 40_000 if compression == "none" else 1_000
    driver = FileDriver(
        str(target), file_path_template=template, file_rotate_size=limit, file_compression=compression, file_max_open=1
    )
    fork = multiprocessing.get_context("fork")
    names = [b"a", b"b", b"c"]
    workers = [fork.Process(target=_append_many, args=(driver, name, 60)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(HANG_SECS)
        assert worker.exitcode == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    lines = Counter(line for path in files for line in _lines(path, compression))
    assert lines == Counter(
        b"%s %d %d %s" % (name, number, line, name * 300)
        for name in names
        for number in range(60)
        for line in range(20)
    )
    assert max(path.stat().st_size for path in files) <= limit


def _lines(path: Path, compression: str) -> list[bytes]:
    import gzip
    import io

    import zstandard

    data = path.read_bytes()
    if compression == "gzip":
        data = gzip.decompress(data)
    elif compression == "zstd":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    assert data.endswith(b"\n")
    return data.split(b"\n")[:-1]


def test_torn_line_of_another_process_while_the_file_is_open(tmp_path: Path) -> None:
    """A process that was killed in the middle of a line spoils no line of those that go on."""
    path = tmp_path / "out"
    with FileDriver(str(path)).open() as connection:
        connection.send([b"a"])
        with path.open("ab") as killed:
            killed.write(b"whole\nto")
        connection.send([b"b"])
    assert path.read_bytes() == b"a\nwhole\nto\nb\n"


def test_unwritable_directory(tmp_path: Path) -> None:
    """What cannot be put aside fails the batch and stays; nothing is written beyond the limit, no number is left."""
    path = tmp_path / "out.json"
    with FileDriver(str(path), file_rotate_size=3).open() as connection:
        connection.send([b"a"])
        rename = os.rename
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "rename", lambda *_, **__: rename("/nonexistent/a", "/nonexistent/b"))
            with pytest.raises(DeliveryError, match="No such file"):
                connection.send([b"b"])
        assert content(tmp_path) == {"out.json": "a\n"}
        connection.send([b"b"])
    assert content(tmp_path) == {"out.json": "b\n", "out~1.json": "a\n"}
