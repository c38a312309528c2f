"""The driver by which a stream writes shards, and the publisher that makes files of its spool."""

from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.drivers import Batch, FileDriver
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.shards import spool as publishing
from dovebeam.transforms.shards.committing import manifest_from_json
from dovebeam.transforms.shards.spool import Publisher
from dovebeam.transforms.write_to_window_shards import SpoolDriver

HOUR = 3600
NOON = 1_795_608_000  # 2026-11-25T12:00:00Z
LATER = 4_102_444_800_000  # 2100-01-01T00:00:00Z: after any time at which the tests run, since arrivals are noted, too


def driver(base: Path, **settings: Any) -> SpoolDriver:
    """Shards for each hour, written at once when it is over."""
    given = {"file_rotate_interval_msec": HOUR * 1000, "file_window_delay_msec": 0, **settings}
    return SpoolDriver(FileDriver(f"{base}/events.json", file_writing="shards", **given), "archive", "s")


def event(secs: int, **fields: Any) -> Event:
    """An event that ended at this time."""
    return make_event("x", end_time=secs * 1_000_000, fields=fields)


def batch(spool: SpoolDriver, *events: tuple[int, bytes]) -> Batch:
    """Payloads of events of these times."""
    router = spool.router()
    assert router is not None
    return Batch([payload for _, payload in events], paths=[router.route(event(secs)) for secs, _ in events])


def files(base: Path) -> dict[str, bytes]:
    """What is there by name, apart from manifests and what is hidden."""
    return {
        path.name: path.read_bytes()
        for path in sorted(base.iterdir())
        if not path.name.startswith(".") and not path.name.endswith(".manifest.json")
    }


def hidden(base: Path) -> list[str]:
    """Names of what is in the spool."""
    return sorted(path.name for path in base.glob(".dovebeam/*/*"))


@pytest.fixture
def spool(tmp_path: Path) -> SpoolDriver:
    """A driver in an empty directory."""
    return driver(tmp_path)


@pytest.fixture
def publisher(spool: SpoolDriver) -> Iterator[Publisher]:
    """What makes files of its spool."""
    made = spool.publisher()
    with made.alone(NOON * 1000):
        yield made


def deliver(spool: SpoolDriver, *events: tuple[int, bytes]) -> None:
    """A bundle with these events."""
    with pickle.loads(pickle.dumps(spool)).open() as connection:
        assert connection.send(batch(spool, *events)) == []
        connection.flush()


def test_a_file_for_each_window(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """Events of several bundles are in the file of their hour, in the order in which they came."""
    deliver(spool, (NOON, b"a"), (NOON + HOUR, b"b"))
    deliver(spool, (NOON + 1, b"c"), (NOON + HOUR + 1, b"d"), (NOON, b"e"))
    manifest = publisher.publish(LATER)
    assert files(tmp_path) == {
        "events-20261125T120000Z-s-21000101T000000Z-00000-of-00001.json": b"a\nc\ne\n",
        "events-20261125T130000Z-s-21000101T000000Z-00000-of-00001.json": b"b\nd\n",
    }
    assert manifest is not None
    name = "archive-s-21000101T000000Z.manifest.json"
    assert manifest_from_json((tmp_path / name).read_bytes(), name) == manifest
    assert (manifest.events, manifest.state) == (5, "done")
    assert [part for part in hidden(tmp_path) if part not in {"lock", "owner"}] == []


def test_what_comes_late_has_a_file_of_its_own(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """A second pane changes nothing that is there, also when both are made in one second or the first was moved."""
    deliver(spool, (NOON, b"a"))
    publisher.publish(LATER)
    before = files(tmp_path)
    deliver(spool, (NOON, b"b"))
    publisher.publish(LATER)
    after = files(tmp_path)
    assert before.items() < after.items()
    assert sorted(after.values()) == [b"a\n", b"b\n"]


def test_a_window_that_is_not_over_waits(tmp_path: Path) -> None:
    """Nothing is written before the window has ended and the delay is over, and late events wait for the delay, too."""
    spool = driver(tmp_path, file_window_delay_msec=60_000)
    publisher = spool.publisher()
    with publisher.alone(0):
        now = [0.0]
        with _clock(now):
            now[0] = NOON + 5
            deliver(spool, (NOON, b"a"))
            assert publisher.publish((NOON + HOUR) * 1000) is None
            assert publisher.publish((NOON + HOUR + 59) * 1000) is None
            assert publisher.publish((NOON + HOUR + 60) * 1000) is not None
            now[0] = NOON + 2 * HOUR
            deliver(spool, (NOON, b"late"))
            now[0] = NOON + 2 * HOUR + 30
            deliver(spool, (NOON, b"later"))
            assert publisher.publish((NOON + 2 * HOUR + 59) * 1000) is None
            assert publisher.publish((NOON + 2 * HOUR + 60) * 1000) is not None
    assert list(files(tmp_path).values()) == [b"a\n", b"late\nlater\n"]


def _clock(now: list[float]) -> pytest.MonkeyPatch:
    """The worker's clock, for as long as the context lasts."""
    context = pytest.MonkeyPatch.context()

    class _Patched:
        def __enter__(self) -> None:
            self.patch = context.__enter__()
            self.patch.setattr("dovebeam.transforms.write_to_window_shards.time.time_ns", lambda: int(now[0] * 1e9))

        def __exit__(self, *error: Any) -> None:
            context.__exit__(*error)

    return _Patched()  # type: ignore[return-value]


def test_the_end_of_a_stream_writes_everything(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """A stream that is drained leaves nothing in the spool."""
    deliver(spool, (NOON, b"a"))
    assert publisher.publish(NOON * 1000) is None
    assert publisher.publish(NOON * 1000, everything=True) is not None
    assert list(files(tmp_path).values()) == [b"a\n"]


def test_a_failed_bundle_leaves_nothing(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """Payloads of a bundle that did not come to its end are in no file and not on the disk."""
    connection = spool.open()
    connection.send(batch(spool, (NOON, b"a" * 9_000_000)))
    connection.close()
    assert publisher.publish(LATER, everything=True) is None
    assert [name for name in hidden(tmp_path) if name.endswith(".part")] == []


def test_parts_are_on_the_disk_before_they_count(
    tmp_path: Path, spool: SpoolDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure takes nothing that was delivered: the part is synced before its index is written."""
    done: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    deliver(spool, (NOON, b"a"))
    kinds = [Path(name).suffix if "pieces" not in name else ".pieces" for name in done]
    assert kinds[:2] == [".part", ".pieces"]
    assert done[2].endswith(Path(done[0]).parent.name)


Step = Callable[[Publisher], None]


def test_interrupted_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever call on the place is the last one of a process, the next process has every event in exactly one file."""
    number = 0
    while True:
        base = tmp_path / str(number)
        base.mkdir()
        spool = driver(base)
        deliver(spool, (NOON, b"a"), (NOON + HOUR, b"b"))
        deliver(spool, (NOON, b"c"))
        interrupted = _publish_until(spool, number, monkeypatch)
        deliver(spool, (NOON, b"d"))
        publisher = spool.publisher()
        with publisher.alone(LATER):
            publisher.publish(LATER + 5000)
            publisher.publish(LATER + 9000)
        lines = b"".join(files(base).values()).split()
        assert sorted(lines) == [b"a", b"b", b"c", b"d"], number
        assert [name for name in hidden(base) if name not in {"lock", "owner"}] == []
        if not interrupted:
            break
        number += 1
    assert number > 12


class _Killed(BaseException):
    """Stands for the end of a process."""


def _publish_until(spool: SpoolDriver, calls: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the process came to its end before this many calls that change the place."""
    publisher = spool.publisher()
    store = publisher._store
    left = [calls]

    def limited(call: Any) -> Any:
        def run(*arguments: Any, **named: Any) -> Any:
            if not left[0]:
                raise _Killed
            left[0] -= 1
            return call(*arguments, **named)

        return run

    with monkeypatch.context() as patch:
        for name in ("create", "write", "publish", "delete", "delete_tree"):
            patch.setattr(store, name, limited(getattr(store, name)), raising=False)
        try:
            with publisher.alone(LATER):
                publisher.publish(LATER)
        except _Killed:
            return True
    return False


def test_two_streams_of_one_name(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """On a local disk the second one does not begin."""
    with pytest.raises(DeliveryError, match="locked"), spool.publisher().alone(0):
        raise AssertionError("two at a time")


def test_a_spool_that_was_taken_over(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """Where a place has no locks, the one that was first notices and makes no files."""
    deliver(spool, (NOON, b"a"))
    (owner,) = tmp_path.glob(".dovebeam/*/owner")
    owner.write_text("somebody")
    with pytest.raises(DeliveryError, match=r"another stream of the same name; .* --run_id"):
        publisher.publish(LATER)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("suffix", [".pieces", "pane.json"])
def test_damaged_notes(tmp_path: Path, spool: SpoolDriver, publisher: Publisher, suffix: str) -> None:
    """What cannot be read is an error with its name, and no part is removed."""
    deliver(spool, (NOON, b"a"))
    (pieces,) = tmp_path.glob(".dovebeam/*/*.pieces")
    damaged = pieces if suffix == ".pieces" else pieces.with_name(suffix)
    damaged.write_bytes(b"\xff\xff")
    with pytest.raises(DeliveryError, match=f"{damaged.name} is damaged"):
        publisher.publish(LATER)
    assert list(tmp_path.glob(".dovebeam/*/*.part"))


def test_stale_parts_are_removed(tmp_path: Path, spool: SpoolDriver) -> None:
    """A part that a killed worker left is removed by a start an hour later, and not before."""
    deliver(spool, (NOON, b"kept"))
    (pieces,) = tmp_path.glob(".dovebeam/*/*.pieces")
    begun = int(pieces.name.split(".")[1])
    torn = pieces.with_name(f"{NOON}.{begun}.torn.part")
    torn.write_bytes(b"half")
    for age, left in ((3_600_000, True), (3_600_001, False)):
        with spool.publisher().alone(begun + age):
            assert torn.exists() is left
    assert pieces.exists()


def test_notes_that_a_kill_cut_off_are_removed(tmp_path: Path, spool: SpoolDriver) -> None:
    """Of a part an hour later, as the part itself; of panes, which only the owner writes, at once."""
    deliver(spool, (NOON, b"kept"))
    (pieces,) = tmp_path.glob(".dovebeam/*/*.pieces")
    begun = int(pieces.name.split(".")[1])
    torn = pieces.with_name(f".{NOON}.{begun}.torn.pieces.0123456789abcdef")
    others = [pieces.with_name(f".{name}.0123456789abcdef") for name in ("pane.json", "owner")]
    for each in (torn, *others):
        each.write_bytes(b"half")
    for age, left in ((3_600_000, [torn]), (3_600_001, [])):
        with spool.publisher().alone(begun + age):
            assert [each for each in (torn, *others) if each.exists()] == left
    assert pieces.exists()


def test_compression_sizes_and_templates(tmp_path: Path) -> None:
    """Files are compressed, cut by size, and lie where their template says."""
    spool = driver(tmp_path, file_compression="gzip", file_rotate_size=6, file_path_template="%Y/{user}.json")
    spool = SpoolDriver(FileDriver(str(tmp_path), **_settings(spool.files)), "archive", "s")
    router = spool.router()
    assert router is not None
    events = [event(NOON, user=user) for user in ("ann", "bob", "ann")]
    with spool.open() as connection:
        connection.send(Batch([b"one", b"two", b"three"], paths=[router.route(each) for each in events]))
        connection.flush()
    publisher = spool.publisher()
    with publisher.alone(LATER):
        publisher.publish(LATER)
    mark = "20261125T120000Z-s-21000101T000000Z"
    found = {path.name: zlib.decompress(path.read_bytes(), 31) for path in (tmp_path / "2026").iterdir()}
    assert found == {
        f"ann-{mark}-00000-of-00002.json.gz": b"one\n",
        f"ann-{mark}-00001-of-00002.json.gz": b"three\n",
        f"bob-{mark}-00000-of-00001.json.gz": b"two\n",
    }


def _settings(files: FileDriver) -> dict[str, Any]:
    return {each.name: getattr(files, each.name) for each in fields(files) if each.name != "file_path"}


def test_payloads_without_paths(spool: SpoolDriver) -> None:
    """Formatted payloads alone have no window, and that is said."""
    with spool.open() as connection, pytest.raises(DeliveryError, match="ExportEvents"):
        connection.send([b"a"])


def test_marks_are_never_used_twice(tmp_path: Path, spool: SpoolDriver, publisher: Publisher) -> None:
    """Panes of one second get different names."""
    for number in range(5):
        deliver(spool, (NOON, b"%d" % number))
        publisher.publish(LATER)
    assert len(files(tmp_path)) == 5
    assert publishing.time_mark(0) == "19700101T000000Z"
