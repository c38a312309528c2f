"""How far a local job has come, told by its workers to the process that launched it while it runs.

Beam's counters are known when a bundle ends, and on one machine a whole job may be one bundle. So each worker process
also keeps a few numbers in a small file that it maps into memory, in a directory that the launcher made; the launcher
adds them up as often as it likes. The same directory takes the launcher's wish to stop back to the workers, which obey
it between two blocks, so that no batch is torn.

The named counters of the ledger are there, too, so that a job which is stopped, or fails, can still account for what it
did.

Without such a directory, as on any cluster, nothing is done.
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


_MAX_COUNTERS: Final = 65_536
"""Names are those of metrics, exporters and reasons, so this is far away; further names are not counted here."""

_NUMBER_BYTES: Final = 8
_NUMBERS: Final = ".numbers"
_NAMES: Final = ".names"


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
            os.ftruncate(fd, size)  # a sparse file: only pages with counters take space
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
            with self._names.open("ab") as names:
                names.write(json.dumps(name).encode() + b"\n")
            self._slots[name] = slot
        return slot


def read_counters(folder: Path) -> dict[str, int]:
    """The counters of all processes whose files are in a folder, added up by name; those at 0 are left out."""
    sums: dict[str, int] = {}
    for path in sorted(folder.glob(f"*{_NUMBERS}")):
        with contextlib.suppress(OSError):
            names = _read_names(path.with_suffix(_NAMES))
            with path.open("rb") as file:
                numbers = memoryview(file.read(len(names) * _NUMBER_BYTES)).cast("q")
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


ENVIRONMENT: Final = "DOVEBEAM_PROGRESS_DIR"
"""The environment variable that leads workers, which inherit it, to the directory."""

_SUFFIX: Final = ".counts"
_STOP: Final = "stop"
_DRAIN: Final = "drain"
_DRAINED: Final = "drained"
_ABANDON: Final = "abandon"


class StoppedError(DovebeamError):
    """Raised within a worker between two blocks after the launcher asked it to stop."""

    def __init__(self, message: str = "stopped as asked") -> None:
        super().__init__(message)


class Totals(NamedTuple):
    """What all workers have done so far.

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


class _Counts:
    """The numbers of this process, in its own file of the directory."""

    def __init__(self, directory: str) -> None:
        self.directory: Final = directory
        self.pid: Final = os.getpid()
        self._stop: Final = os.path.join(directory, _STOP)
        self._lock: Final = threading.Lock()
        size = len(Totals._fields) * _NUMBER_BYTES
        fd = os.open(os.path.join(directory, f"{self.pid}{_SUFFIX}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, size)  # keeps what this process counted before
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
        with self._lock, contextlib.suppress(OSError):  # progress is a convenience and fails no job
            self._named.add(name, amount)

    def replace_named(self, name: str, value: int) -> None:
        """Sets a named counter."""
        with self._lock, contextlib.suppress(OSError):
            self._named.replace(name, value)


class _Home:
    """Where this process counts; looked up at the first call and after each change of the environment variable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._directory: str | None = None
        self._counts: _Counts | None = None

    def counts(self) -> _Counts | None:
        """This process's numbers, None if nobody asked for them or they cannot be kept."""
        directory = os.environ.get(ENVIRONMENT, "")
        counts = self._counts
        if self._directory != directory or (counts is not None and counts.pid != os.getpid()):
            with self._lock:
                counts = None
                if directory:
                    with contextlib.suppress(OSError, ValueError):  # progress is a convenience and fails no job
                        counts = _Counts(directory)
                self._directory, self._counts = directory, counts
        return counts


_home = _Home()


def advance(*, read_bytes: int = 0, events: int = 0, delivered: int = 0, rejected: int = 0, waiting: int = 0) -> None:
    """Tells the launcher what was done since the last call; meant to be called once for a block or batch.

    Raises:
        StoppedError: the launcher wants the job to stop. What the amounts are about is done and was counted.
    """
    tell(read_bytes=read_bytes, events=events, delivered=delivered, rejected=rejected, waiting=waiting)
    obey()


def tell(*, read_bytes: int = 0, events: int = 0, delivered: int = 0, rejected: int = 0, waiting: int = 0) -> None:
    """Tells the launcher what was done since the last call, in the middle of a block or batch."""
    counts = _home.counts()
    if counts is not None:
        counts.add((read_bytes, events, delivered, rejected, waiting))


def obey() -> None:
    """Stops here if the launcher wants that; meant to be called where nothing is in hand.

    Raises:
        StoppedError: the launcher wants the job to stop.
    """
    counts = _home.counts()
    if counts is not None:
        counts.obey()


def count(name: str, amount: int) -> None:
    """Adds to a named counter of this process, which the launcher reads as `JobMonitor.counters`."""
    counts = _home.counts()
    if counts is not None:
        counts.add_named(name, amount)


def recount(name: str, value: int) -> None:
    """Sets a named counter of this process."""
    counts = _home.counts()
    if counts is not None:
        counts.replace_named(name, value)


def configured() -> bool:
    """Whether some launcher wants to know."""
    return bool(os.environ.get(ENVIRONMENT))


def is_draining() -> bool:
    """Whether the launcher wants a stream to end: nothing more is to be read, what was read is to be delivered."""
    directory = os.environ.get(ENVIRONMENT, "")
    return bool(directory) and os.path.exists(os.path.join(directory, _DRAIN))


def tell_drained() -> None:
    """Tells the launcher that a stream, as it was asked to, has ended: all that it read was delivered and acknowledged.

    Not every engine ends a job whose source has nothing more to give.
    """
    if is_draining():
        with contextlib.suppress(OSError):
            Path(os.environ[ENVIRONMENT], _DRAINED).touch()


def is_abandoned(directory: str) -> bool:
    """Whether the launcher gave this directory's job up, or is gone without a word; its workers should end at once."""
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
        """Where the workers count."""
        return Path(self._directory)

    def totals(self) -> Totals:
        """What all workers have counted so far."""
        sums = [0] * len(Totals._fields)
        with contextlib.suppress(OSError):
            for path in self.directory.glob(f"*{_SUFFIX}"):
                numbers = path.read_bytes()
                if len(numbers) == len(sums) * _NUMBER_BYTES:
                    sums = [total + number for total, number in zip(sums, memoryview(numbers).cast("q"), strict=True)]
        return Totals(*sums)

    @property
    def has_begun(self) -> bool:
        """Whether the `with` block of a job was entered."""
        return self._has_begun

    def counters(self) -> dict[str, int]:
        """Named counters of all workers, added up; behind the `with` block, what they were at its end."""
        return read_counters(self.directory) if self._directory else dict(self._last)

    def workers(self) -> list[int]:
        """The process ids of all workers that have counted, whether they live or not."""
        return [int(path.stem) for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal()]

    def drain(self) -> None:
        """Asks the sources of a stream to read no more; see `is_draining`."""
        self._mark(_DRAIN)

    def is_drained(self) -> bool:
        """Whether the source of a stream said that all is done; see `tell_drained`."""
        return (self.directory / _DRAINED).exists()

    def stop(self) -> None:
        """Asks the workers to stop after the block that they have in hand."""
        self._mark(_STOP)

    def abandon(self) -> None:
        """Asks worker processes to end at once."""
        self._mark(_STOP)
        self._mark(_ABANDON)

    def _mark(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.directory / name).touch()

    def __enter__(self) -> Self:
        self._folder = TemporaryFolder()
        self._directory = self._folder.path
        self._has_begun = True
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
        self._last = self.counters()
        if self._folder is not None:
            self._folder.close()
        self._directory = ""
