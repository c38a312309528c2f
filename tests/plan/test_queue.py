"""Queues on disk: nothing that was committed is lost or changes its order, nothing else is ever given."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan import queue as writing
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.queue import Queue, QueueWriter

STEPS = ["bundle", "failed bundle", "restart", "take", "clock back"]


def payloads_in(queue: Queue) -> list[int]:
    """Everything that is in a queue."""
    return [int(payload) for name in queue.names() for batch in queue.read(name) for payload in batch.payloads]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(STEPS), max_size=12), st.data())
def test_any_order_of_what_can_happen(steps: list[str], data: st.DataObject) -> None:
    """What was committed is there, in its order, until it is taken; what was not is not."""
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        queue, writer = Queue(root, "x"), QueueWriter(root, ["x"])
        patch.setattr(writing, "_SEGMENT_BYTES", 6)
        numbers, clock, expected = itertools.count(), 10**18, []
        patch.setattr(time, "time_ns", lambda: clock)
        for step in steps:
            if step in {"bundle", "failed bundle"}:
                writer.begin()
                added = [next(numbers) for _ in range(data.draw(st.integers(0, 5)))]
                for number in added:
                    writer.add("x", PayloadBatch([b"%d" % number]))
                if step == "bundle":
                    assert writer.commit() == len(added)
                    expected += added
            elif step == "restart":
                queue.remove_unfinished()
                writer = QueueWriter(root, ["x"])
            elif step == "take" and queue.names():
                name = queue.names()[0]
                queue.remove([name])
                expected = expected[name.events :]
            elif step == "clock back":
                clock -= 10**9
            assert payloads_in(queue) == expected
            assert sum(name.events for name in queue.names()) == len(expected)
        queue.remove_unfinished()
        assert len(os.listdir(queue.directory)) == len(queue.names())


def test_a_bundle_that_cannot_be_written(tmp_path: Path) -> None:
    """Leaves nothing in any queue, and nothing on the disk."""
    writer = QueueWriter(str(tmp_path), ["a", "b"])
    writer.add("a", PayloadBatch([b"1"]))
    writer.add("b", PayloadBatch([b"1"]))
    (tmp_path / "b").rmdir()
    with pytest.raises(DeliveryError, match=r"write\(.*/b/\..* failed: No such file or directory"):
        writer.commit()
    writer.begin()
    assert os.listdir(tmp_path / "a") == []


def test_names_of_exporters(tmp_path: Path) -> None:
    """No name leads out of the directory, and no two names lead to one."""
    names = ["..", "../x", "a/b", "a%2Fb", "", "x" * 300, "x" * 301, "ä", "lock", "."]
    directories = {Queue(str(tmp_path), name).directory for name in names}
    assert len(directories) == len(names)
    assert all(os.path.dirname(directory) == str(tmp_path) for directory in directories)


def test_private(tmp_path: Path) -> None:
    """Payloads are nobody else's to read, and no link is followed."""
    writer = QueueWriter(str(tmp_path), ["x"])
    writer.add("x", PayloadBatch([b"1"]))
    writer.commit()
    queue = Queue(str(tmp_path), "x")
    (name,) = queue.names()
    path = Path(queue.directory, str(name))
    assert (Path(queue.directory).stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeliveryError, match="symbolic link"):
        queue.read(name)
