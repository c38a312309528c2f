"""An object store as a place for files: Google Cloud Storage's emulator, through Beam's file systems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.shard_steps import RemoteStore, make_store
from dovebeam.transforms.shards.local_store import LocalStore, Store, fingerprint
from support.jobs.commands import dovebeam, exporter, metric, write_config, write_events
from support.servers.gcs_emulator import PIPELINE_OPTIONS, GcsEmulator, gcs_emulator
from support.servers.gcs_faults import gcs_faults

EVENTS = [b'{"event":"e","fields":{"id":%d,"pad":"%s"}}' % (number, b"x" * 100) for number in range(3000)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[GcsEmulator]:
    """One emulator for all tests."""
    with gcs_emulator() as running:
        yield running


@pytest.fixture
def store(emulator: GcsEmulator, request: pytest.FixtureRequest) -> Store:
    """A folder of its own for each test."""
    return make_store(emulator.uri(request.node.name), 0o600, 0o700)


def put(store: Store, name: str, content: bytes = b"content") -> None:
    """Writes a temporary object."""
    with store.create(name, is_part=True) as file:
        file.write(content)


def test_which_store(tmp_path: Path) -> None:
    """URLs are in an object store, paths on this machine."""
    assert isinstance(make_store("gs://b/f", 0o600, 0o700), RemoteStore)
    assert isinstance(make_store(str(tmp_path), 0o600, 0o700), LocalStore)


def test_content(store: Store) -> None:
    """What was written is read, from wherever, also if its name promises a compression."""
    for name in ("t/a", "t/a.gz"):
        put(store, name, b"0123456789" * 1000)
        with store.open(name) as file:
            file.seek(4004)
            assert file.read(3) == b"456"
        assert fingerprint(store, name).bytes == 10_000


def test_stamps(store: Store) -> None:
    """Empty if there is nothing, another one if the content is, also of the same size."""
    assert store.stamp("a") == ""
    store.write("a", b"one")
    first = store.stamp("a")
    assert first == store.stamp("a") != ""
    store.write("a", b"two")
    assert store.stamp("a") not in {"", first}


def test_temporary_objects_are_new(store: Store) -> None:
    """An object that exists is not written to."""
    put(store, "t/a")
    with pytest.raises(DeliveryError, match="t/a exists"):
        store.create("t/a", is_part=True)


def test_publishing(store: Store) -> None:
    """An object gets its name, and its temporary one goes; what has the name is replaced only if that is meant."""
    put(store, "t/a")
    store.publish("t/a", "a", replaces=False)
    assert (store.stamp("t/a"), fingerprint(store, "a").bytes) == ("", 7)
    put(store, "t/b", b"other")
    with pytest.raises(DeliveryError, match="has appeared while the job ran"):
        store.publish("t/b", "a", replaces=False)
    assert fingerprint(store, "a").bytes == 7
    store.publish("t/b", "a", replaces=True)
    assert fingerprint(store, "a").bytes == 5


def test_missing_temporary_object(store: Store, emulator: GcsEmulator) -> None:
    """A rename that fails is an error, and names the object."""
    put(store, "t/a")
    store.delete("t/a")
    with pytest.raises(DeliveryError, match=rf"^{emulator.uri('test_missing_temporary_object/a')}: "):
        store.publish("t/a", "a", replaces=False)
    assert store.stamp("a") == ""


class Refusals:
    """Refuses batches of requests, which Beam makes of a rename: the copy, then the removal."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed

    def __call__(self, method: str, path: str) -> bool:
        """Whether it has been enough."""
        if method == "POST" and path.startswith("/batch/"):
            self._allowed -= 1
            return self._allowed < 0
        return False


@pytest.mark.parametrize("allowed", [0, 1])
def test_refused_rename(store: Store, emulator: GcsEmulator, allowed: int) -> None:
    """A rename of which the store refuses the copy, or the removal, is an error; the object has a name all the time."""
    put(store, "t/a")
    with gcs_faults(emulator, Refusals(allowed)) as faults, pytest.raises(DeliveryError, match="/a: "):
        store.publish("t/a", "a", replaces=False)
    assert faults.refused
    assert fingerprint(store, "t/a").bytes == 7
    assert bool(store.stamp("a")) == bool(allowed)


def test_missing_objects(store: Store) -> None:
    """Reading one is an error, removing one is none."""
    store.delete("a")
    store.delete_tree("d")
    with pytest.raises(DeliveryError, match="/a: "), store.open("a") as file:
        file.read(1)


def test_removing_what_is_temporary(store: Store, emulator: GcsEmulator) -> None:
    """All objects of a run go; those of a run whose name only begins alike stay."""
    for name in (".dovebeam/r-x/a", ".dovebeam/r-x/b", ".dovebeam/r-xy/a"):
        put(store, name)
    store.delete_tree(".dovebeam/r-x")
    assert emulator.names("test_removing_what_is_temporary/") == ["test_removing_what_is_temporary/.dovebeam/r-xy/a"]


def export(folder: Path, emulator: GcsEmulator, name: str, *options: str) -> tuple[int, str]:
    """Runs the command with shards in a folder of the bucket."""
    settings = [f"file_path = {emulator.uri(name)}/events.json", "file_writing = shards", "file_rotate_size = 200k"]
    blocks = exporter("x", "file", "json", *settings), metric("m", "event=e", "x")
    ran = dovebeam(
        *("export", "--config", write_config(folder, *blocks), "--input", folder / "events.json"),
        *("--run_id=r", *PIPELINE_OPTIONS, *options),
    )
    return ran.code, ran.err


def contents(emulator: GcsEmulator, name: str) -> dict[str, bytes]:
    """All objects of a folder, by their names in it."""
    return {each.removeprefix(f"{name}/"): emulator.get(each) for each in emulator.names(f"{name}/")}


def test_export(tmp_path: Path, emulator: GcsEmulator) -> None:
    """A whole export; run again it replaces its own objects and no others, and removes those it has no more."""
    write_events(tmp_path, EVENTS)
    emulator.put({"out/theirs.json": b"theirs"})
    assert export(tmp_path, emulator, "out")[0] == 0
    first = contents(emulator, "out")
    made = [f"events-r-{number:05}-of-00003.json" for number in range(3)]
    assert sorted(first) == [*made, "theirs.json", "x-r.manifest.json"]
    assert b"".join(first[name] for name in made) == b"".join(line + b"\n" for line in EVENTS)
    assert export(tmp_path, emulator, "out")[0] == 0
    assert contents(emulator, "out") == first
    write_events(tmp_path, EVENTS[:5])
    assert export(tmp_path, emulator, "out")[0] == 0
    second = contents(emulator, "out")
    assert sorted(second) == ["events-r-00000-of-00001.json", "theirs.json", "x-r.manifest.json"]
    assert second["events-r-00000-of-00001.json"].count(b"\n") == 5


def test_foreign_object(tmp_path: Path, emulator: GcsEmulator) -> None:
    """An object that somebody else has put at a final name fails the job, and stays; the job completes without it."""
    write_events(tmp_path, EVENTS)
    emulator.put({"foreign/events-r-00001-of-00003.json": b"theirs"})
    code, told = export(tmp_path, emulator, "foreign")
    assert code == 1
    assert "events-r-00001-of-00003.json exists, and run 'r' did not create it" in told
    left = {name for name in contents(emulator, "foreign") if not name.startswith(".dovebeam/")}
    assert left == {"events-r-00001-of-00003.json"}
    assert emulator.get("foreign/events-r-00001-of-00003.json") == b"theirs"


@pytest.mark.parametrize("allowed", range(7))
def test_store_that_fails_in_the_commit(tmp_path: Path, emulator: GcsEmulator, allowed: int) -> None:
    """Whatever the store refuses of it fails the job; run again, it is as if undisturbed."""
    name = f"failing-{allowed}"
    write_events(tmp_path, EVENTS)
    with gcs_faults(emulator, Refusals(allowed)) as faults:
        code, told = export(tmp_path, emulator, name)
    assert faults.refused
    assert code == 1, told
    state = b'"committing"' if allowed < 6 else b'"done"'
    assert contents(emulator, name)["x-r.manifest.json"].count(state) == 1
    assert export(tmp_path, emulator, name)[0] == 0
    made = contents(emulator, name)
    assert sorted(made) == [*(f"events-r-{number:05}-of-00003.json" for number in range(3)), "x-r.manifest.json"]
    assert b"".join(made[each] for each in sorted(made)[:3]) == b"".join(line + b"\n" for line in EVENTS)
