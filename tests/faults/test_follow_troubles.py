"""A stream whose target, state, rejects or lines are in trouble: nothing is acknowledged that was not delivered."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from support.jobs.delivery_job import ids_in, listener_process
from support.jobs.stream_job import StreamJob, UnixListener, numbered_events, numbers_in
from support.programs import HANG_SECS


def _append(log: Path, lines: list[bytes]) -> None:
    with log.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def test_killed_before_anything_was_acknowledged(tmp_path: Path) -> None:
    """A log that is rotated after the job's first start belongs to the job, even if that start came to nothing."""
    with UnixListener(tmp_path / "deaf", deaf=True) as deaf:
        stream = StreamJob(tmp_path, "unix", f"unix_path = {deaf.path}")
        _append(stream.log, numbered_events(0, 500))
        with stream.running() as process:
            stream.wait_until(process, lambda: deaf.connections > 0, "the job to begin")
            os.killpg(process.pid, signal.SIGKILL)
    stream.log.rename(stream.log.with_name("events.json.1"))
    _append(stream.log, numbered_events(500, 600))
    target = tmp_path / "delivered.json"
    stream.configure("file", f"file_path = {target}")
    with stream.running() as process:
        stream.wait_until(process, lambda: len(set(numbers_in(target))) == 600, "all events")
        stream.drain(process)


def test_target_that_dies_and_returns(tmp_path: Path) -> None:
    """While the listener is away the job waits and tells why; afterwards everything has arrived, without a restart."""
    path, kept = tmp_path / "socket", tmp_path / "kept"
    stream = StreamJob(tmp_path, "unix", f"unix_path = {path}")
    stream.first_look()
    with stream.running() as process:
        with listener_process(path, kept):
            _append(stream.log, numbered_events(0, 1000))
            stream.wait_until(process, lambda: len(_kept(kept)) == 1000, "the first events")
        for number in range(10):
            _append(stream.log, numbered_events(1000 + 100 * number, 1100 + 100 * number))
            time.sleep(0.2)
        assert process.poll() is None
        with listener_process(path, kept):
            stream.wait_until(process, lambda: len(_kept(kept)) == 2000, "the rest")
            stream.drain(process)
    assert stream.rejected() == b""


def _kept(folder: Path) -> set[str]:
    return {number for path in folder.iterdir() for number in ids_in(path.read_bytes())} if folder.exists() else set()


def test_bad_lines(tmp_path: Path) -> None:
    """Lines that are no events are in the rejects with their place, and stop nothing."""
    target = tmp_path / "delivered.json"
    stream = StreamJob(tmp_path, "file", f"file_path = {target}")
    stream.first_look()
    lines = numbered_events(0, 300)
    lines[100:100] = [b"no event", b"{broken"]
    _append(stream.log, lines)
    with stream.running() as process:
        stream.wait_until(process, lambda: len(numbers_in(target)) == 300, "all events")
        stream.wait_until(process, lambda: stream.rejected().count(b"\n") == 2, "both rejects")
        stream.drain(process)
    rejects = [json.loads(line) for line in stream.rejected().splitlines()]
    assert [reject["payloadString"] for reject in rejects] == ["no event", "{broken"]
    begin = len(b"".join(lines[:100])) + 100
    assert [reject["sourceOffset"] for reject in rejects] == [begin, begin + len(b"no event\n")]
    assert all(reject["sourceUri"].startswith(f"{stream.log}#") for reject in rejects)
    assert Counter(numbers_in(target)) == Counter(range(300))


def test_state_that_cannot_be_written(tmp_path: Path) -> None:
    """The job fails and says so, for it could not keep its promise; nothing is lost when the state can be written again."""
    target = tmp_path / "delivered.json"
    stream = StreamJob(tmp_path, "file", f"file_path = {target}")
    stream.first_look()
    state, kept = tmp_path / "state" / "follow.json", tmp_path / "follow.json"
    state.rename(kept)
    state.mkdir()
    (state / "in the way").touch()
    _append(stream.log, numbered_events(0, 300))
    with stream.running() as process:
        _, told = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 1
    assert str(tmp_path / "state") in told
    (state / "in the way").unlink()
    state.rmdir()
    kept.rename(state)
    with stream.running() as process:
        stream.wait_until(process, lambda: set(numbers_in(target)) == set(range(300)), "all events")
        stream.drain(process)


def test_two_streams_with_one_state(tmp_path: Path) -> None:
    """The second one ends at once; the first one does not notice."""
    target = tmp_path / "delivered.json"
    stream = StreamJob(tmp_path, "file", f"file_path = {target}")
    stream.first_look()
    with stream.running() as process:
        _append(stream.log, numbered_events(0, 10))
        stream.wait_until(process, lambda: len(numbers_in(target)) == 10, "the first job")
        with stream.running() as other:
            _, told = other.communicate(timeout=HANG_SECS)
        assert (other.returncode, "--state" in told) == (1, True), told
        _append(stream.log, numbered_events(10, 20))
        stream.wait_until(process, lambda: len(numbers_in(target)) == 20, "the first job to go on")
        stream.drain(process)


@pytest.mark.parametrize(("first", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_second_signal_ends_it_at_once(tmp_path: Path, first: int, code: int) -> None:
    """A target that takes nothing holds a drain up; whoever does not want to wait says so again, and nothing is lost."""
    with UnixListener(tmp_path / "deaf", deaf=True) as deaf:
        stream = StreamJob(tmp_path, "unix", f"unix_path = {deaf.path}")
        stream.first_look()
        _append(stream.log, numbered_events(0, 20_000, pad=400))
        with stream.running() as process:
            stream.wait_until(process, lambda: deaf.connections > 0, "the job to begin")
            time.sleep(0.5)
            process.send_signal(first)
            time.sleep(1.0)
            assert process.poll() is None
            process.send_signal(first)
            _, told = process.communicate(timeout=HANG_SECS)
        assert process.returncode == code, told
    target = tmp_path / "delivered.json"
    stream.configure("file", f"file_path = {target}")
    with stream.running() as process:
        stream.wait_until(process, lambda: len(set(numbers_in(target))) == 20_000, "all events")
        stream.drain(process)
