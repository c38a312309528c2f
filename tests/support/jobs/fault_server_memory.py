"""The resident memory of a job: of all processes of its session together, shared pages counted in each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.programs import HANG_SECS

_SAMPLE_SECS = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class MemoryWatch:
    """A running job whose memory is looked at five times a second.

    Attributes:
        process: the job.
        samples: (seconds since its start, bytes).
    """

    process: subprocess.Popen[str]
    samples: list[tuple[float, int]] = field(default_factory=list)

    def peak(self, begin: float = 0.0, end: float = float("inf")) -> int:
        """The most in bytes, of the samples between two times in seconds."""
        return max(size for at, size in self.samples if begin <= at < end)


@contextlib.contextmanager
def watched_job(arguments: Sequence[object]) -> Iterator[MemoryWatch]:
    """Runs the real command in a session of its own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dovebeam.pipelines.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watch, begin, ended = MemoryWatch(process), time.monotonic(), threading.Event()

    def look() -> None:
        while not ended.wait(_SAMPLE_SECS):
            watch.samples.append((time.monotonic() - begin, session_bytes(process.pid)))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield watch
    finally:
        ended.set()
        looker.join()
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.communicate(timeout=HANG_SECS)


def session_bytes(session: int) -> int:
    """What the processes of a session hold in memory now."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:  # gone
            continue
        if int(fields[3]) == session:
            total += int(fields[21]) * _PAGE
    return total
