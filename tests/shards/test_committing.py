"""The commit: nobody else's files are touched, and one that was interrupted anywhere is completed by the next."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shards.committing import Manifest, commit, manifest_from_json
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import LocalStore, Store
from dovebeam.transforms.shards.pieces import Extent, FilePlan, Lines, WrittenFile

LAYOUT = Layout("x", "r")
MANIFEST = "x-r.manifest.json"
FIRST = {"a.json": b"first\n", "d/b.json": b"second\n", "old.json": b"gone\n", "d/same.json": b"same\n"}
SECOND = {"a.json": b"FIRST\n", "d/b.json": b"SECOND\n", "new.json": b"new\n", "d/same.json": b"same\n"}


class Crash(BaseException):
    """The end of a process, as far as what it has not done yet is concerned."""


class Crashing:
    """A store that ends the process before its n-th call, or in its middle, that is after it."""

    def __init__(self, store: Store, calls: int, *, after: bool) -> None:
        self._store = store
        self._left = calls
        self._after = after

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._store, name)

        def call(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Crash
            found = method(*arguments, **options)
            if self._left == 0:
                if isinstance(found, io.IOBase):
                    found.close()
                raise Crash
            return found

        return call


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An empty place."""
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


def local(base: Path) -> LocalStore:
    """The place as a store."""
    return LocalStore(str(base), 0o600, 0o700)


def written(base: Path, contents: Mapping[str, bytes], layout: Layout = LAYOUT) -> list[WrittenFile]:
    """Files under temporary names, as the steps before leave them."""
    store, files = local(base), []
    for name, content in contents.items():
        unique = uuid.uuid4().hex
        with store.create(layout.part(unique), is_part=True) as file:
            file.write(content)
        plan = FilePlan(name, (Extent(layout.part(unique), 0, len(content)),), 1)
        files.append(compose(store, plan, layout.written(unique), Lines(), "none"))
    return files


def run(base: Path, contents: Mapping[str, bytes], layout: Layout = LAYOUT) -> Manifest:
    """A run that writes these files."""
    return commit(local(base), layout, written(base, contents, layout))


def contents(base: Path) -> dict[str, bytes]:
    """Everything that is there but manifests."""
    files = [path for path in base.rglob("*") if path.is_file() or path.is_symlink()]
    return {
        str(path.relative_to(base)): path.read_bytes() for path in files if not path.name.endswith(".manifest.json")
    }


def manifest(base: Path) -> Manifest:
    """The manifest of the run."""
    return manifest_from_json((base / MANIFEST).read_bytes(), MANIFEST)


def test_first_run(base: Path) -> None:
    """All files have their names, the manifest has all files, nothing temporary is left."""
    done = run(base, FIRST)
    assert contents(base) == FIRST
    assert manifest(base) == done
    assert (done.state, done.events, done.replaces, done.attempt) == ("done", 4, (), "")
    assert {file.name: file.bytes for file in done.files} == {name: len(data) for name, data in FIRST.items()}
    assert [file.name for file in done.files] == sorted(FIRST)
    assert not (base / ".dovebeam").exists()
    assert json.loads((base / MANIFEST).read_bytes())["state"] == "done"


def test_run_again(base: Path) -> None:
    """Exactly the run's own files are replaced, those it does not have any more go, others stay."""
    (base / "theirs.json").write_bytes(b"theirs")
    run(base, FIRST)
    done = run(base, SECOND)
    assert contents(base) == {**SECOND, "theirs.json": b"theirs"}
    assert manifest(base) == done


def test_run_again_with_nothing(base: Path) -> None:
    """A run that has nothing to write removes what it had written, and says so."""
    run(base, FIRST)
    done = run(base, {})
    assert contents(base) == {}
    assert (done.files, done.events) == ((), 0)


def test_other_runs(base: Path) -> None:
    """Runs of other names, and other exporters, leave each other alone."""
    run(base, FIRST)
    run(base, {"s.json": b"s"}, Layout("x", "s"))
    run(base, {"y.json": b"y"}, Layout("y", "r"))
    run(base, {})
    assert contents(base) == {"s.json": b"s", "y.json": b"y"}


@pytest.mark.parametrize("theirs", ["file", "link", "broken link", "directory"])
def test_foreign_names(base: Path, tmp_path: Path, theirs: str) -> None:
    """A name that somebody else has, with whatever, is an error before anything is renamed."""
    files = written(base, FIRST)
    (tmp_path / "secret").write_bytes(b"secret")
    (base / "d").mkdir()
    path = base / "d/b.json"
    {
        "file": lambda: path.write_bytes(b"theirs"),
        "link": lambda: path.symlink_to(tmp_path / "secret"),
        "broken link": lambda: path.symlink_to("nowhere"),
        "directory": path.mkdir,
    }[theirs]()
    before = path.lstat()
    with pytest.raises(DeliveryError, match=r"d/b.json exists, and run 'r' did not create it.*nothing was replaced"):
        commit(local(base), LAYOUT, files)
    assert path.lstat() == before
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert sorted(each.name for each in base.iterdir()) == [".dovebeam", "d"]


def test_own_file_that_was_changed(base: Path) -> None:
    """Who has edited a file does not lose that: an error before anything is renamed."""
    run(base, FIRST)
    (base / "a.json").write_bytes(b"edited\n")
    with pytest.raises(DeliveryError, match=r"a.json exists.*or it was changed since"):
        run(base, SECOND)
    left = {name: data for name, data in contents(base).items() if not name.startswith(".dovebeam")}
    assert left == {**FIRST, "a.json": b"edited\n"}
    assert manifest(base).state == "done"


def test_stale_file_that_was_changed(base: Path) -> None:
    """It is not removed either."""
    run(base, FIRST)
    (base / "old.json").write_bytes(b"edited\n")
    run(base, SECOND)
    assert contents(base) == {**SECOND, "old.json": b"edited\n"}


def test_own_file_that_was_removed(base: Path) -> None:
    """Files may be taken away; a run makes its own again."""
    run(base, FIRST)
    (base / "a.json").unlink()
    (base / "old.json").unlink()
    run(base, SECOND)
    assert contents(base) == SECOND


def test_name_that_is_taken_in_the_last_moment(base: Path) -> None:
    """Between the look and the renaming: what came is not replaced, and the run can be completed when it is gone."""
    files = written(base, FIRST)

    class Racing(LocalStore):
        def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
            if final == "d/b.json":
                (base / "d").mkdir()
                (base / "d/b.json").write_bytes(b"theirs")
            super().publish(temporary, final, replaces=replaces)

    with pytest.raises(DeliveryError, match=r"d/b.json\) failed: File exists"):
        commit(Racing(str(base), 0o600, 0o700), LAYOUT, files)
    assert (base / "d/b.json").read_bytes() == b"theirs"
    (base / "d/b.json").unlink()
    run(base, FIRST)
    assert contents(base) == FIRST


def test_file_changed_since_it_was_read(base: Path) -> None:
    """What was there when files were written is not taken for what is there now."""
    run(base, FIRST)
    files = written(base, SECOND)
    (base / "a.json").write_bytes(b"edited\n")
    with pytest.raises(DeliveryError, match=r"a.json exists"):
        commit(local(base), LAYOUT, files)
    assert (base / "a.json").read_bytes() == b"edited\n"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("again", "crashes"), [(FIRST, 1), (SECOND, 1), (SECOND, 2)])
def test_interrupted_anywhere(base: Path, after: bool, again: Mapping[str, bytes], crashes: int) -> None:
    """Before or after each single step of a second run's commit; then the job is run again, and all is right.

    Wherever it stopped, each name has either what it had or what it was to get, and somebody else's file is untouched.
    """
    for number in itertools.count(1):
        here = base / str(number)
        here.mkdir()
        (here / "theirs.json").write_bytes(b"theirs")
        run(here, FIRST)
        crashed = False
        for _ in range(crashes):
            files = written(here, SECOND)
            try:
                commit(Crashing(local(here), number, after=after), LAYOUT, files)
            except Crash:
                crashed = True
            for name, data in contents(here).items():
                if not name.startswith(".dovebeam"):
                    assert data in {FIRST.get(name), SECOND.get(name), b"theirs"}
        run(here, again)
        assert contents(here) == {**again, "theirs.json": b"theirs"}
        assert manifest(here).state == "done"
        if not crashed:
            assert number > 20
            return


@pytest.mark.parametrize("after", [False, True])
def test_commit_that_is_tried_again(base: Path, after: bool) -> None:
    """A runner may try the same commit again, after it was interrupted anywhere, and after it was done."""
    for number in itertools.count(1):
        here = base / str(number)
        here.mkdir()
        run(here, FIRST)
        files = written(here, SECOND)
        try:
            commit(Crashing(local(here), number, after=after), LAYOUT, files)
        except Crash:
            done = commit(local(here), LAYOUT, files)
        else:
            done = commit(local(here), LAYOUT, files)
            assert number > 20
            assert (contents(here), manifest(here)) == (SECOND, done)
            return
        assert (contents(here), manifest(here)) == (SECOND, done)


def test_file_that_vanished(base: Path) -> None:
    """A temporary file that is gone before it has its name is an error; what had the name stays."""
    run(base, FIRST)
    files = written(base, SECOND)
    (base / files[1].temporary).unlink()
    with pytest.raises(DeliveryError, match=r"is gone before it became d/b.json; is the same run active elsewhere"):
        commit(local(base), LAYOUT, files)
    assert (base / "d/b.json").read_bytes() == FIRST["d/b.json"]
    run(base, SECOND)
    assert contents(base) == SECOND


class Meddling:
    """A store before whose n-th call something else happens."""

    def __init__(self, store: Store, calls: int, meddle: Callable[[], object]) -> None:
        self._store = store
        self._left = calls
        self._meddle = meddle

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._store, name)

        def call(*arguments: object, **options: object) -> object:
            self._left -= 1
            if self._left == 0:
                self._meddle()
            return method(*arguments, **options)

        return call


def test_two_runs_of_one_name(base: Path) -> None:
    """While a run commits, another one of its name cannot; whoever is first is complete, and the next one completes."""
    refused = []

    def meddle() -> None:
        try:
            run(base, FIRST)
        except DeliveryError as error:
            refused.append(str(error))

    for number in itertools.count(1):
        before, files = len(refused), written(base, SECOND)
        done = None
        try:
            done = commit(Meddling(local(base), number, meddle), LAYOUT, files)
        except DeliveryError as error:
            assert number == 1  # the other one was done before
            assert "is the same run active elsewhere" in str(error)
        else:
            assert contents(base) == SECOND
            assert manifest(base) == done
            if len(refused) == before:
                break
        run(base, FIRST)
        assert contents(base) == FIRST
    assert len(refused) > 20
    assert all("locked: the same run is active elsewhere" in text for text in refused)


class Lockless(LocalStore):
    """A place without locks, as object stores are."""

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """No lock."""
        yield


def test_two_runs_of_one_name_without_locks(base: Path) -> None:
    """Who finds somebody else's manifest in place of his own, or his files gone, does not end as done."""
    store, reasons = Lockless(str(base), 0o600, 0o700), []
    run(base, FIRST)
    for number in range(8, 18):  # while it publishes
        files = written(base, SECOND)
        with pytest.raises(DeliveryError) as caught:
            commit(Meddling(store, number, lambda: commit(store, LAYOUT, written(base, FIRST))), LAYOUT, files)
        reasons.append(str(caught.value))
        run(base, FIRST)
        assert contents(base) == FIRST
    assert any("is gone before it became" in reason for reason in reasons)
    assert any("was written by another process meanwhile" in reason for reason in reasons)


def test_two_files_of_one_name(base: Path) -> None:
    """Whatever made the names: nothing is lost, nothing is written."""
    files = written(base, {"a.json": b"one\n"}) + written(base, {"a.json": b"two\n"})
    with pytest.raises(DeliveryError, match=r"2 different paths would become the one file a.json"):
        commit(local(base), LAYOUT, files)
    assert [path.name for path in base.iterdir()] == [".dovebeam"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"not ours", b'{"version":9}', b'{"version":1,"exporter":"x","run_id":"r","state":"done"']
)
def test_damaged_manifest(base: Path, content: bytes) -> None:
    """What cannot be read as the manifest is not replaced, since nobody knows then what is whose."""
    run(base, FIRST)
    (base / MANIFEST).write_bytes(content)
    with pytest.raises(DeliveryError, match=MANIFEST):
        run(base, SECOND)
    assert {name: data for name, data in contents(base).items() if ".dovebeam" not in name} == FIRST
    assert (base / MANIFEST).read_bytes() == content


def test_manifest_of_somebody_else(base: Path) -> None:
    """A manifest under the name of this run that says it is of another."""
    run(base, FIRST, Layout("x", "s"))
    (base / "x-s.manifest.json").rename(base / MANIFEST)
    with pytest.raises(DeliveryError, match="is of exporter 'x' and run 's', not of this one"):
        run(base, SECOND)
    assert (base / "a.json").read_bytes() == FIRST["a.json"]


def test_linked_manifest(base: Path, tmp_path: Path) -> None:
    """A link at its name is not followed."""
    run(tmp_path / "base", FIRST)
    (base / MANIFEST).rename(tmp_path / "manifest")
    (base / MANIFEST).symlink_to(tmp_path / "manifest")
    with pytest.raises(DeliveryError, match="symbolic link"):
        run(base, SECOND)
    assert json.loads((tmp_path / "manifest").read_bytes())["files"][0]["sha256"]


def test_linked_temporary_directory(base: Path, tmp_path: Path) -> None:
    """One that somebody has planted is not entered."""
    (tmp_path / "outside").mkdir()
    (base / ".dovebeam").symlink_to(tmp_path / "outside")
    with pytest.raises(DeliveryError, match="symbolic link"):
        run(base, FIRST)
    assert list((tmp_path / "outside").iterdir()) == []
