"""Following a log that is rotated in both ways while the job is killed and started again: every event arrives."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from support.jobs.log_writer import LogWriter
from support.jobs.stream_job import StreamJob, UnixListener, numbered_events, numbers_in
from support.programs import HANG_SECS

_EVENTS = 200_000
_PER_SECOND = 25_000
_ROTATIONS = 20
_KILLS = 3
_BUNDLE_BYTES = 10 * 1024 * 1024
"""More than a job reads before it delivers and remembers what it has read."""


def test_rotated_and_killed(tmp_path: Path) -> None:
    """Twenty rotations in both ways and three SIGKILLs: no event is lost, and few of each kill's last batch repeat."""
    target = tmp_path / "delivered.json"
    stream = StreamJob(tmp_path, "file", f"file_path = {target}")
    events = numbered_events(0, _EVENTS)
    cuts: list[int] = []
    stream.first_look()
    with LogWriter(stream.log, events, _PER_SECOND, _EVENTS // (_ROTATIONS + 1)) as writer:
        for kill in range(_KILLS):
            with stream.running() as process:
                goal = len(events) * (kill + 1) // (_KILLS + 1)
                stream.wait_until(process, lambda goal=goal: len(writer.written_at) >= goal, "the writer")
                # Else a slow machine kills a job that has not remembered anything yet, and the next one repeats it all.
                size = goal * (len(events[0]) + 1) * 9 // 10
                stream.wait_until(process, lambda size=size: _size(target) >= size, "the job to catch up")
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(HANG_SECS)
            cuts.append(len(numbers_in(target)))
        with stream.running() as process:
            writer.wait(HANG_SECS)
            last = b'"id":"e%07d"' % (len(events) - 1)
            stream.wait_until(process, lambda: last in _end_of(target), "the last event")
            stream.wait_until(process, lambda: len(set(numbers_in(target))) == len(events), "all events")
            stream.drain(process)
    delivered = numbers_in(target)
    assert writer.rotations >= _ROTATIONS
    assert set(delivered) == set(range(len(events)))
    assert stream.rejected() == b""
    repeated = _check_repeated(delivered, cuts, len(events[0]) + 1)
    print(f"\n{len(events)} events, {writer.rotations} rotations, {_KILLS} kills: none lost, {repeated} twice")


def _check_repeated(delivered: list[int], cuts: list[int], event_bytes: int) -> int:
    """What came twice was delivered in the last batch before a kill, and came again right after it."""
    first: dict[int, int] = {}
    again = Counter[int]()
    for place, number in enumerate(delivered):
        before = first.setdefault(number, place)
        if before != place:
            kill = max(cut for cut in cuts if cut <= place)
            assert kill - _BUNDLE_BYTES // event_bytes <= before < kill, f"event {number} came twice for no reason"
            again[kill] += 1
    assert all(count <= _BUNDLE_BYTES // event_bytes for count in again.values())
    return again.total()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256 * 1024))
        return file.read()


def test_while_it_is_written(tmp_path: Path) -> None:
    """At 5,000 events a second, rotations included, all are delivered, and a drain loses none."""
    count, per_second = 30_000, 5_000
    with UnixListener(tmp_path / "socket") as listener:
        stream = StreamJob(tmp_path, "unix", f"unix_path = {listener.path}")
        stream.first_look()
        with (
            stream.running() as process,
            LogWriter(stream.log, numbered_events(0, count), per_second, 5_000) as writer,
        ):
            writer.wait(HANG_SECS)
            stream.wait_until(process, lambda: len(listener.arrived) >= count, "all events")
            stream.drain(process)
        assert sorted(listener.arrived) == list(range(count))


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_drain_and_go_on(tmp_path: Path, signal_number: int) -> None:
    """A stopped job has delivered what it read, ends with code 0, and the next one delivers the rest: each event once."""
    target = tmp_path / "delivered.json"
    stream = StreamJob(tmp_path, "file", f"file_path = {target}")
    events = numbered_events(0, 30_000)
    stream.first_look()
    with LogWriter(stream.log, events, 6_000, 4_000) as writer:
        with stream.running() as process:
            stream.wait_until(process, lambda: len(numbers_in(target)) > 5_000, "the job to begin")
            process.send_signal(signal_number)
            _, told = process.communicate(timeout=HANG_SECS)
            assert process.returncode == 0, told
        assert len(numbers_in(target)) < len(events)
        writer.wait(HANG_SECS)
        with stream.running() as process:
            stream.wait_until(process, lambda: len(numbers_in(target)) >= len(events), "all events")
            stream.drain(process)
    assert Counter(numbers_in(target)) == Counter(range(len(events)))
