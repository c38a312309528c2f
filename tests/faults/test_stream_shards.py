"""Shards of a stream that is killed again and again: every event is in a file, and no file is ever changed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from dovebeam.transforms.sources.follow.records import decode_state
from support.jobs.engines import WAYS, WITHOUT_PROCESSES
from support.jobs.log_writer import LogWriter
from support.jobs.stream_command import Job
from support.jobs.stream_job import StreamJob
from support.jobs.window_files import SETTINGS, digests, lines_in, spooled, timed_line
from support.programs import HANG_SECS, wait_until

_EVENTS = 60_000
_KILLS = 3


def test_killed_and_started_again(tmp_path: Path) -> None:
    """Three SIGKILLs while events of two hours come mixed: none is lost, files only get more.

    What the state counted as handed on before a kill does not come again after it, whatever the machine's pace.
    """
    base = tmp_path / "out"
    base.mkdir()
    stream = StreamJob(tmp_path, "file", f"file_path = {base / 'events.json'}", *SETTINGS, "file_window_delay = 1 s")
    events = [
        timed_line(number, 12 + number % 2).rstrip().replace(b'"e"', b'"fault_test"', 1) for number in range(_EVENTS)
    ]
    seen: dict[str, str] = {}
    known: list[set[bytes]] = [set()]
    stream.first_look()
    with LogWriter(stream.log, events, 4_000, _EVENTS // 3) as writer:
        for kill in range(_KILLS):
            with stream.running() as process:
                goal = _EVENTS * (kill + 1) // (_KILLS + 1)
                ready = lambda goal=goal: (  # noqa: E731
                    len(writer.written_at) >= goal and len(spooled(base)) >= 2 and _acknowledged(stream) - known[-1]
                )
                stream.wait_until(process, ready, "the writer, the spool and the state")
                known.append(_acknowledged(stream))
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(HANG_SECS)
            seen = _check_grown(base, seen)
        with stream.running() as process:
            writer.wait(HANG_SECS)
            stream.wait_until(process, lambda: len(set(lines_in(base))) == _EVENTS, "all events")
            stream.drain(process)
    seen = _check_grown(base, seen)
    lines = lines_in(base)
    assert {line.rstrip() for line in lines} == set(events)
    assert len(seen) >= 2  # one of each hour, and more if the machine had time to make some between two kills
    # A part that a kill has cut off has no note, or one without its name, and both go when they are old; whoever is to
    # deliver its events has done so.
    assert len(spooled(base)) <= 2 * _KILLS
    assert not [name for name in spooled(base) if not name.endswith(".part") and not name.startswith(".")]
    assert stream.rejected() == b""
    copies = Counter(lines)
    for kill, before in enumerate(known[1:], 1):  # it may have come again after each of the kills before this one
        assert max(map(copies.__getitem__, before)) <= kill
    assert max(copies.values()) <= _KILLS + 1
    print(f"\n{_EVENTS} events, {_KILLS} kills, {len(seen)} files: none lost, {len(lines) - _EVENTS} twice")


def _acknowledged(stream: StreamJob) -> set[bytes]:
    """The lines that the state counts as handed on; of files that rotation changes meanwhile, none."""
    state = stream.folder / "state" / "follow.json"
    lines: set[bytes] = set()
    for record in decode_state(state.read_bytes(), str(state)).files:
        with contextlib.suppress(FileNotFoundError), open(stream.folder / record.path, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) == record.identity and record.is_still(file.fileno(), status.st_size):
                lines.update(file.read(record.offset).splitlines(keepends=True))
    return lines


def _check_grown(base: Path, before: dict[str, str]) -> dict[str, str]:
    now = digests(base)
    assert before.items() <= now.items()
    return now


@pytest.mark.parametrize("way", WITHOUT_PROCESSES)
def test_on_engines(tmp_path: Path, way: str) -> None:
    """An engine's workers spool, and the launcher makes the files, while the job runs and when it is drained."""
    base = tmp_path / "out"
    base.mkdir()
    settings = (f"file_path = {base / 'events.json'}", *SETTINGS, "file_window_delay = 1 s")
    job = Job(tmp_path, *settings, ledger="flink" not in way)
    with job.running(*WAYS[way](tmp_path)) as process:
        job.append(timed_line(1))
        wait_until(lambda: lines_in(base) == [timed_line(1)], "the file")
        job.append(timed_line(2))
        wait_until(lambda: lines_in(base) == [timed_line(1), timed_line(2)] or bool(spooled(base)), "more")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, err
    assert lines_in(base) == [timed_line(1), timed_line(2)]
    assert spooled(base) == []
