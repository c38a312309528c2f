"""Following a log that is rotated in both ways while the job is killed and started again: every event, and how soon."""

from __future__ import annotations

import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import exporter, metric, write_config
from support.fault_server_job import event_line
from support.log_writer import LogWriter
from support.programs import wait_until

_EVENTS = 500_000
_PER_SECOND = 25_000
_ROTATIONS = 20
_KILLS = 3
_BUNDLE_BYTES = 10 * 1024 * 1024
"""More than a job reads before it delivers and remembers what it has read."""

_ID = re.compile(rb'"id":"e([0-9]{7})"[^\n]*\}\}\n')


def _events(count: int) -> list[bytes]:
    return [event_line(f"e{number:07}", 60).encode() for number in range(count)]


class _Stream:
    """`dovebeam stream` as a process, with its log, state and targets in one folder."""

    def __init__(self, folder: Path, driver: str, *settings: str) -> None:
        self.folder = folder
        self.log = folder / "log" / "events.json"
        self.log.parent.mkdir()
        write_config(folder, exporter("target", driver, "json", *settings), metric("all", "event=fault_test", "target"))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """The command, none of whose processes outlives the block."""
        arguments = ["--config", "dovecot.conf", "--follow", "log/events.json", "--state", "state"]
        process = subprocess.Popen(
            [sys.executable, "-m", "dovebeam.pipelines.cli", "stream", *arguments, "--rejects", "rejects.jsonl"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def first_look(self) -> None:
        """Runs the job until it has looked at the log once; what is rotated before that is none of its business."""
        with self.running() as process:
            wait_until((self.folder / "state" / "follow.json").exists, "the first look", seconds=30)
            self.drain(process)

    @staticmethod
    def drain(process: subprocess.Popen[str]) -> None:
        """Stops it as an operator does; what was read is delivered, and it says that all is well."""
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told

    def rejected(self) -> bytes:
        """What was rejected."""
        path = self.folder / "rejects.jsonl"
        return path.read_bytes() if path.exists() else b""


def test_rotated_and_killed(tmp_path: Path) -> None:
    """Twenty rotations in both ways and three SIGKILLs: no event is lost, and few of each kill's last batch repeat."""
    target = tmp_path / "delivered.json"
    stream = _Stream(tmp_path, "file", f"file_path = {target}")
    events = _events(_EVENTS)
    cuts: list[int] = []
    stream.first_look()
    with LogWriter(stream.log, events, _PER_SECOND, _EVENTS // (_ROTATIONS + 1)) as writer:
        for kill in range(_KILLS):
            with stream.running() as process:
                goal = len(events) * (kill + 1) // (_KILLS + 1)
                wait_until(lambda goal=goal: len(writer.written_at) >= goal, "the writer", seconds=120)
                assert process.poll() is None, process.communicate()[1]
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
            cuts.append(len(_delivered(target)))
        with stream.running() as process:
            writer.wait(120)
            last = b'"id":"e%07d"' % (len(events) - 1)
            wait_until(lambda: last in _end_of(target), "the last event", seconds=60)
            time.sleep(1.0)  # for what may come after it, out of turn
            stream.drain(process)
    delivered = _delivered(target)
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


def _delivered(target: Path) -> list[int]:
    """The numbers of the events that are whole in the target's file, in their order."""
    return [int(number) for number in _ID.findall(target.read_bytes())] if target.exists() else []


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256 * 1024))
        return file.read()


def test_latency(tmp_path: Path) -> None:
    """At 5,000 events a second, rotations included, events are delivered soon; and a drain loses none."""
    count, per_second = 60_000, 5_000
    with _Listener(tmp_path / "socket") as listener:
        stream = _Stream(tmp_path, "unix", f"unix_path = {listener.path}")
        stream.first_look()
        with stream.running() as process, LogWriter(stream.log, _events(count), per_second, 10_000) as writer:
            writer.wait(60)
            wait_until(lambda: len(listener.arrived) >= count or process.poll() is not None, "all events", seconds=30)
            stream.drain(process)
        assert sorted(listener.arrived) == list(range(count))
    late = sorted(listener.arrived[number] - writer.written_at[number] for number in range(2 * per_second, count))
    p99 = late[len(late) * 99 // 100]
    print(
        f"\nfrom append to delivery at {per_second} events/s: median {statistics.median(late):.3f} s, "
        f"p99 {p99:.3f} s, at most {late[-1]:.3f} s"
    )
    assert p99 < 2.0


class _Listener:
    """A unix socket listener that keeps when each event arrived first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrived: dict[int, float] = {}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> _Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        with connection:
            while data := connection.recv(256 * 1024):
                now = time.monotonic()
                whole, _, rest = (rest + data).rpartition(b"\n")
                for number in _ID.findall(whole + b"\n"):
                    self.arrived.setdefault(int(number), now)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_drain_and_go_on(tmp_path: Path, signal_number: int) -> None:
    """A stopped job has delivered what it read, ends with code 0, and the next one delivers the rest: each event once."""
    target = tmp_path / "delivered.json"
    stream = _Stream(tmp_path, "file", f"file_path = {target}")
    events = _events(30_000)
    stream.first_look()
    with LogWriter(stream.log, events, 6_000, 4_000) as writer:
        with stream.running() as process:
            wait_until(lambda: len(_delivered(target)) > 5_000, "the job to begin", seconds=30)
            process.send_signal(signal_number)
            _, told = process.communicate(timeout=30)
            assert process.returncode == 0, told
        assert len(_delivered(target)) < len(events)
        writer.wait(30)
        with stream.running() as process:
            wait_until(lambda: len(_delivered(target)) >= len(events), "all events", seconds=30)
            stream.drain(process)
    assert Counter(_delivered(target)) == Counter(range(len(events)))
