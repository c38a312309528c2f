"""Exports into files as real processes that can be held while something is done to their files."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

from support.jobs import warm_commands
from support.jobs.commands import Ran, exporter, metric, write_config, write_events
from support.programs import HANG_SECS, leave_out, require_program

TWO_PROCESSES = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@dataclass(frozen=True)
class FileJob:
    """An export of numbered events.

    Attributes:
        config: the configuration.
        events: the input.
        count: how many events there are; their field `id` counts from 0.
    """

    config: Path
    events: Path
    count: int

    @classmethod
    def prepare(cls, folder: Path, settings: Sequence[str], count: int, pad: int = 60) -> FileJob:
        """Writes events that do not compress well, and a configuration that sends all of them to files."""
        noise = random.Random(1)
        lines = [
            b'{"event":"e","hostname":"h","start_time":"2019-06-19T10:38:25.000001Z",'
            b'"end_time":"2019-06-19T10:38:25.000001Z","categories":[],"fields":{"id":%d,"user":"u%d","pad":"%s"}}'
            % (number, number % 50, noise.randbytes(pad).hex().encode())
            for number in range(count)
        ]
        blocks = exporter("x", "file", "json", *settings), metric("m", "event=*", "x")
        return cls(write_config(folder, *blocks), write_events(folder, lines), count)

    def run(self, *options: str) -> Ran:
        """The whole job, undisturbed."""
        with self.started(*options) as process:
            out, err = process.communicate(timeout=HANG_SECS)
        return Ran(process.returncode, out, err)

    def disturbed(self, begun: Callable[[], bool], disturb: Callable[[], object], *options: str) -> Ran:
        """The job, held when it has begun until something was done to its files."""
        with self.started(*options) as process:
            _wait_until(lambda: begun() or process.poll() is not None)
            _hold(process.pid)
            disturb()
            os.killpg(process.pid, signal.SIGCONT)
            out, err = process.communicate(timeout=HANG_SECS)
        return Ran(process.returncode, out, err)

    def killed(self, begun: Callable[[], bool], *options: str) -> None:
        """The job, with all its processes killed when it has begun."""
        with self.started(*options) as process:
            _wait_until(lambda: begun() or process.poll() is not None)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=HANG_SECS)
            assert process.returncode == -signal.SIGKILL, "the job had ended before it could be killed"

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """The running command, in a process group of its own, none of which is left behind."""
        command = ["export", "--config", str(self.config), "--input", str(self.events), *options]
        process = warm_commands.Popen(
            [sys.executable, "-m", "dovebeam.pipelines.cli", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def check(self, *files: Path, once: bool = False, torn: int = 0) -> None:
        """Every event is in the files, whole; at least once, or exactly once; besides so many torn lines at most."""
        found = ids(*files, torn=torn)
        assert set(found) == set(range(self.count))
        if once:
            assert set(found.values()) == {1}


def _hold(group: int) -> None:
    """Stops every thread of a process group; the signal alone lets them run on for a moment."""
    os.killpg(group, signal.SIGSTOP)
    give_up = time.monotonic() + 10
    while any(state not in "TtZX" for state in _states(group)):
        assert time.monotonic() < give_up, "the job could not be stopped"
        time.sleep(0.0005)


def _states(group: int) -> Iterator[str]:
    """The states of all threads of a process group, as /proc/PID/task/TID/stat has them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if stat.read_text().rpartition(") ")[2].split()[2] != str(group):
                continue
            yield from [task.read_text().rpartition(") ")[2][0] for task in stat.parent.glob("task/*/stat")]
        except OSError:  # it has ended
            continue


def _wait_until(begun: Callable[[], bool]) -> None:
    """Looks more often than `wait_until`: the job is to be stopped in the middle."""
    give_up = time.monotonic() + 60
    while not begun():
        assert time.monotonic() < give_up, "the job did not begin to write"
        time.sleep(0.0005)


def ids(*files: Path, torn: int = 0) -> Counter[int]:
    """How often each event is in some files, whose lines must be whole but for so many."""
    found: Counter[int] = Counter()
    for line in (line for path in files for line in lines_of(path)):
        try:
            found[json.loads(line)["fields"]["id"]] += 1
        except json.JSONDecodeError:
            torn -= 1
            assert torn >= 0, line[:200]
    return found


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file, whatever its compression; the last one must have its end."""
    data = path.read_bytes()
    if path.suffix == ".gz" and data:
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    assert data == b"" or data.endswith(b"\n")
    return data.split(b"\n")[:-1]


def files_below(folder: Path) -> list[Path]:
    """All files in a directory and those in it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own that is soon full; skips the test where nobody may mount one."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    try:
        yield folder
    finally:
        unmount(folder)


def make_read_only(folder: Path) -> None:
    """Lays a read-only view of a directory over itself, so that root, too, can write nothing; `unmount` ends it."""
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
    except BaseException:
        unmount(folder)
        raise


def mount(*arguments: str) -> None:
    """Mounts something; skips the test where that is not allowed, or fails it where nothing may be skipped."""
    command = [require_program("mount"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=HANG_SECS)
    if done.returncode:
        leave_out(f"mount {' '.join(arguments)}: {done.stderr.strip() or 'failed'}; run the tests as root")


def unmount(folder: Path) -> None:
    """Takes back one mount, if there is one."""
    subprocess.run(
        [require_program("umount"), "--lazy", str(folder)], check=False, capture_output=True, timeout=HANG_SECS
    )
