"""Progress of a local job: what its workers report to the process that launched it, and its orders to them.

Beam's counters are known when a bundle ends, and on one machine a whole job may be one bundle. So each worker process
also keeps a few numbers in a small file that it maps into memory, in a directory that the launcher made; the launcher
adds them up as often as it likes. The same directory takes the launcher's orders to the workers: drain, stop, or end.
Workers obey a stop between two blocks, so that no batch is torn.

The named counters of the ledger are there, too, so that a job that is stopped, or fails, can still account for its
events. Without such a directory, as on a cluster, all of this does nothing.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.local_files import TemporaryFolder

__all__ = [
    "ENVIRONMENT",
    "CounterFile",
    "JobMonitor",
    "StoppedError",
    "Totals",
    "advance",
    "configured",
    "count",
    "is_abandoned",
    "is_draining",
    "obey",
    "read_counters",
    "recount",
    "tell",
    "tell_drained",
]


ENVIRONMENT: Final = "DOVEBEAM_PROGRESS_DIR"
"""Environment variable with the path of the directory; workers inherit it."""

_SUFFIX: Final = ".counts"
_STOP: Final = "stop"
_DRAIN: Final = "drain"
_DRAINED: Final = "drained"
_ABANDON: Final = "abandon"

_MAX_COUNTERS: Final = 65_536
"""Far more names than metrics, exporters and reasons make; names beyond it are not counted here."""

_NUMBER_BYTES: Final = 8
_NUMBERS: Final = ".numbers"
_NAMES: Final = ".names"


class StoppedError(DovebeamError):
    """Raised within a worker between two blocks after the launcher asked it to stop."""

    def __init__(self, message: str = "stopped as asked") -> None:
        super().__init__(message)


class Totals(NamedTuple):
    """Totals of all workers so far.

    Attributes:
        read_bytes: bytes of blocks that were read, uncompressed.
        events: lines or records that were looked at.
        delivered: payloads that drivers delivered.
        rejected: lines and payloads that were rejected.
        waiting: payloads that are in the queue of an exporter; less when they leave it.
    """

    read_bytes: int = 0
    events: int = 0
    delivered: int = 0
    rejected: int = 0
    waiting: int = 0


def advance(*, read_bytes: int = 0, events: int = 0, delivered: int = 0, rejected: int = 0, waiting: int = 0) -> None:
    """Reports what was done since the last call, and obeys a stop; meant to be called once for a block or batch.

    Raises:
        StoppedError: the launcher wants the job to stop. What the amounts are about is done and was counted.
    """
    tell(read_bytes=read_bytes, events=events, delivered=delivered, rejected=rejected, waiting=waiting)
    obey()


def tell(*, read_bytes: int = 0, events: int = 0, delivered: int = 0, rejected: int = 0, waiting: int = 0) -> None:
    """Reports what was done since the last call; for the middle of a block or batch, where nothing may stop."""
    counts = _current.counts()
    if counts is not None:
        counts.add((read_bytes, events, delivered, rejected, waiting))


def obey() -> None:
    """Obeys a stop; meant to be called where nothing is in hand.

    Raises:
        StoppedError: the launcher wants the job to stop.
    """
    counts = _current.counts()
    if counts is not None:
        counts.obey()


def count(name: str, amount: int) -> None:
    """Adds to a named counter of this process; the launcher reads it by `JobMonitor.counters`."""
    counts = _current.counts()
    if counts is not None:
        counts.add_named(name, amount)


def recount(name: str, value: int) -> None:
    """Sets a named counter of this process."""
    counts = _current.counts()
    if counts is not None:
        counts.replace_named(name, value)


def configured() -> bool:
    """Whether a launcher reads the progress of this process."""
    return bool(os.environ.get(ENVIRONMENT))


def is_draining() -> bool:
    """Whether the launcher drains a stream: nothing more is read, and what was read is delivered."""
    directory = os.environ.get(ENVIRONMENT, "")
    return bool(directory) and os.path.exists(os.path.join(directory, _DRAIN))


def tell_drained() -> None:
    """Reports that a stream that drains is done: all that it read was delivered and acknowledged.

    Flink, for one, keeps a job whose source has ended; its launcher cancels the job then.
    """
    if is_draining():
        with contextlib.suppress(OSError):
            Path(os.environ[ENVIRONMENT], _DRAINED).touch()


def is_abandoned(directory: str) -> bool:
    """Whether the launcher gave up this directory's job, or died; its workers should end at once."""
    return os.path.exists(os.path.join(directory, _ABANDON)) or not os.path.isdir(directory)


class JobMonitor:
    """Monitor of a local job, in its launcher: adds up what workers count and asks them to drain, stop or end.

    It makes the directory, leads workers to it by the environment, and removes it at the end.

    A context manager. Only one can be in use in a process.
    """

    def __init__(self) -> None:
        self._folder: TemporaryFolder | None = None
        self._directory = ""
        self._before: str | None = None
        self._last: dict[str, int] = {}
        self._has_begun = False

    @property
    def directory(self) -> Path:
        """Directory of the workers' files."""
        return Path(self._directory)

    def totals(self) -> Totals:
        """Totals of all workers so far."""
        sums = [0] * len(Totals._fields)
        with contextlib.suppress(OSError):
            for path in self.directory.glob(f"*{_SUFFIX}"):
                numbers = path.read_bytes()
                # A worker that has just begun may have made its file and not given it its size yet.
                if len(numbers) == len(sums) * _NUMBER_BYTES:
                    sums = [total + number for total, number in zip(sums, memoryview(numbers).cast("q"), strict=True)]
        return Totals(*sums)

    @property
    def has_begun(self) -> bool:
        """Whether the `with` block of a job was entered."""
        return self._has_begun

    def counters(self) -> dict[str, int]:
        """Sums of the named counters of all workers; after the `with` block, what they were at its end."""
        return read_counters(self.directory) if self._directory else dict(self._last)

    def workers(self) -> list[int]:
        """Process ids of all workers that have counted, alive or not."""
        return [int(path.stem) for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal()]

    def drain(self) -> None:
        """Asks the sources of a stream to read nothing more; see `is_draining`."""
        self._mark(_DRAIN)

    def is_drained(self) -> bool:
        """Whether the source of a stream reported that it is drained; see `tell_drained`."""
        return (self.directory / _DRAINED).exists()

    def stop(self) -> None:
        """Asks the workers to stop after the block that they have in hand."""
        self._mark(_STOP)

    def abandon(self) -> None:
        """Asks worker processes to end at once."""
        # Threads that are in the middle of their work look for a stop only.
        self._mark(_STOP)
        self._mark(_ABANDON)

    def _mark(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.directory / name).touch()

    def __enter__(self) -> Self:
        self._folder = TemporaryFolder()
        self._directory = self._folder.path
        self._has_begun = True
        # The environment reaches workers of this machine, whichever engine starts them.
        self._before = os.environ.get(ENVIRONMENT)
        os.environ[ENVIRONMENT] = self._directory
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._before is None:
            os.environ.pop(ENVIRONMENT, None)
        else:
            os.environ[ENVIRONMENT] = self._before
        # Read before the directory goes: the ledger of a job that failed is closed after the block.
        self._last = self.counters()
        if self._folder is not None:
            self._folder.close()
        self._directory = ""


# The files in the directory: totals in fixed order, and named counters.


class CounterFile:
    """Counters of this process; not for several threads at once.

    Args:
        base: path of both files without their endings. What they hold already is kept.

    Raises:
        OSError: the files cannot be made.
    """

    def __init__(self, base: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(f"{base}{_NUMBERS}", flags, 0o600)
        try:
            size = _MAX_COUNTERS * _NUMBER_BYTES
            # A sparse file of fixed size: only pages with counters take space, and the mapping never has to grow. What
            # is added is in the kernel's pages at once, so nothing is lost when the process is killed.
            os.ftruncate(fd, size)
            self._numbers: Final = memoryview(mmap.mmap(fd, size)).cast("q")
        finally:
            os.close(fd)
        self._names: Final = Path(f"{base}{_NAMES}")
        self._slots: Final = {name: slot for slot, name in enumerate(_read_names(self._names))}

    def add(self, name: str, amount: int) -> None:
        """Adds to a counter.

        Raises:
            OSError: a new name cannot be written.
        """
        slot = self._slot(name)
        if slot is not None:
            self._numbers[slot] += amount

    def replace(self, name: str, value: int) -> None:
        """Sets a counter to a value.

        Raises:
            OSError: a new name cannot be written.
        """
        slot = self._slot(name)
        if slot is not None:
            self._numbers[slot] = value

    def _slot(self, name: str) -> int | None:
        slot = self._slots.get(name)
        if slot is None and len(self._slots) < _MAX_COUNTERS:
            slot = len(self._slots)
            # The name is complete in its file before its number is used, so every number has a name.
            with self._names.open("ab") as names:
                names.write(json.dumps(name).encode() + b"\n")
            self._slots[name] = slot
        return slot


def read_counters(folder: Path) -> dict[str, int]:
    """Sums of the counters of all processes whose files are in a folder, by name; those at 0 are left out."""
    sums: dict[str, int] = {}
    for path in sorted(folder.glob(f"*{_NUMBERS}")):
        with contextlib.suppress(OSError):
            names = _read_names(path.with_suffix(_NAMES))
            # Names first: the worker may add one meanwhile, whose number is then not read.
            with path.open("rb") as file:
                numbers = memoryview(file.read(len(names) * _NUMBER_BYTES)).cast("q")
            # The file of numbers may be just made, and still empty.
            for name, number in zip(names, numbers, strict=False):
                if number:
                    sums[name] = sums.get(name, 0) + number
    return sums


def _read_names(path: Path) -> list[str]:
    """Names of counters by number; a last line that a kill has cut off is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [str(json.loads(line)) for line in lines if line.endswith(b"\n")]


class _Counts:
    """Totals and named counters of this process, in its own files of the directory."""

    def __init__(self, directory: str) -> None:
        self.directory: Final = directory
        self.pid: Final = os.getpid()
        self._stop: Final = os.path.join(directory, _STOP)
        # Adding to a mapped number is a read and a write; bundles of several threads share this process.
        self._lock: Final = threading.Lock()
        size = len(Totals._fields) * _NUMBER_BYTES
        fd = os.open(os.path.join(directory, f"{self.pid}{_SUFFIX}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Keeps what this process counted before, when it comes back to an earlier directory.
            os.ftruncate(fd, size)
            self._numbers: Final = memoryview(mmap.mmap(fd, size)).cast("q")
        finally:
            os.close(fd)
        self._named: Final = CounterFile(os.path.join(directory, str(self.pid)))

    def add(self, amounts: tuple[int, ...]) -> None:
        """Adds to the totals."""
        with self._lock:
            for index, amount in enumerate(amounts):
                if amount:
                    self._numbers[index] += amount

    def obey(self) -> None:
        """Raises `StoppedError` if the launcher wants the job to stop."""
        if os.path.exists(self._stop):
            raise StoppedError

    def add_named(self, name: str, amount: int) -> None:
        """Adds to a named counter."""
        # Progress is a convenience: a full disk here must not fail a job that could go on.
        with self._lock, contextlib.suppress(OSError):
            self._named.add(name, amount)

    def replace_named(self, name: str, value: int) -> None:
        """Sets a named counter."""
        with self._lock, contextlib.suppress(OSError):
            self._named.replace(name, value)


class _CurrentCounts:
    """The counts of this process, opened at the first call and after each change of the environment variable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._directory: str | None = None
        self._counts: _Counts | None = None

    def counts(self) -> _Counts | None:
        """The counts; None without a launcher that reads them, or if their files cannot be made."""
        directory = os.environ.get(ENVIRONMENT, "")
        counts = self._counts
        # A forked child has the parent's object, and must not count in the parent's files.
        if self._directory != directory or (counts is not None and counts.pid != os.getpid()):
            with self._lock:
                counts = None
                if directory:
                    # As in `add_named`: without its files a worker goes on uncounted.
                    with contextlib.suppress(OSError, ValueError):
                        counts = _Counts(directory)
                self._directory, self._counts = directory, counts
        return counts


_current = _CurrentCounts()
