"""Where rejects go: into a file of JSON lines, or, if none is named, into the account alone."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from dovebeam.pipelines.jobs.files import check_appendable, head_of
from dovebeam.pipelines.options.errors import UsageError
from dovebeam.transforms import counting
from dovebeam.transforms.drivers import Connection, FileDriver
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.reading import match_files
from dovebeam.transforms.reject import Reject, reject_to_json
from dovebeam.transforms.store_errors import store_error_text

__all__ = [
    "ACCOUNTED",
    "OTHER_REASONS",
    "REASON",
    "CountRejects",
    "Reasons",
    "RejectsFile",
    "WriteRejects",
    "check_rejects_path",
]

ACCOUNTED: Final = "rejects_accounted"
"""The counter of rejects that arrived here; every reject must."""

REASON: Final = "reject_reason"
"""The counter of rejects of one reason is `reject_reason/TEXT`."""

OTHER_REASONS: Final = "other reasons"

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIRST_MEMBER: Final = b'{"timestamp":'
_PLACE = re.compile(r" \(byte [0-9]+\)$")
_MAX_REASONS: Final = 20  # of one worker: texts that quote data could be without number
_MAX_REASON_CHARS: Final = 200
_MAX_BATCH_BYTES: Final = 1024 * 1024


class WriteRejects(beam.PTransform):
    """Appends rejects to a file of this machine, as JSON lines.

    In the way of the `file` driver: created with mode 0600, never through a symbolic link, and a failure to write fails
    the bundle.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, rejects: Any) -> Any:
        """PCollection of Reject to nothing."""
        return rejects | CountRejects() | "Append" >> beam.ParDo(_AppendFn(os.path.abspath(self._path)))


class CountRejects(beam.PTransform):
    """Counts rejects by their reason and passes them on."""

    def expand(self, rejects: Any) -> Any:
        """PCollection of Reject to the same."""
        return rejects | "Count reasons" >> beam.ParDo(_CountFn())


def check_rejects_path(path: str, inputs: Sequence[str] = ()) -> None:
    """Finds out at launch what would fail at a job's end, or never come to one.

    Args:
        path: where rejects go.
        inputs: the patterns of what is read.

    Raises:
        DeliveryError: the local file cannot be appended to, the object exists, or its store does not say.
        UsageError: the local file is one of those that are read, or holds something else than rejects.
        SourceError: a pattern matches nothing.
    """
    if not is_url(path):
        existed = os.path.lexists(path)
        check_appendable(path)
        if _is_read(path, inputs):
            if not existed:
                os.unlink(path)  # made a moment ago, and empty
            raise UsageError(f"--rejects {path} is one of the files that --input reads; name another file for them")
        head = head_of(path)
        if head and not head.startswith(_FIRST_MEMBER):
            raise UsageError(f"--rejects {path} exists and holds no rejects; name another file for them")
    elif _exists(path):
        raise DeliveryError(f"{path} exists; name another object for the rejects, or delete this one", path)


def _exists(path: str) -> bool:
    try:
        return bool(FileSystems.exists(path))
    except Exception as error:  # each file system has its own exceptions
        raise DeliveryError(f"--rejects {path}: {store_error_text(error)}", path) from error


def _is_read(path: str, inputs: Sequence[str]) -> bool:
    """Whether a file is read, under whatever name."""
    local = [pattern for pattern in inputs if not is_url(pattern)]
    made = os.stat(path)
    return any(os.path.samestat(made, os.stat(file.location)) for file in (match_files(local) if local else ()))


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(Reject)
class _CountFn(beam.DoFn):
    def __init__(self) -> None:
        self._reasons = Reasons()

    def process(self, reject: Any) -> Iterable[Any]:
        counting.add(ACCOUNTED, 1)
        counting.add(REASON, 1, self._reasons.of(reject))
        yield reject


class Reasons:
    """The reasons under which rejects are counted, of which there are not too many."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, reject: Reject) -> str:
        """That of a reject; of one that is rare, `OTHER_REASONS`."""
        reason = _reason(reject)
        if len(self._known) < _MAX_REASONS:
            self._known.add(reason)
        return reason if reason in self._known else OTHER_REASONS


class RejectsFile:
    """The file of rejects, for whoever appends to it beside the steps of a pipeline; several may at the same time.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._connection = FileDriver(self._path).open()

    def append(self, rejects: Sequence[Reject]) -> None:
        """Appends whole lines, which are on the disk when this returns.

        Raises:
            DeliveryError: the file cannot be written.
        """
        if not rejects:
            return
        self._connection.send([reject_to_json(reject) for reject in rejects])
        try:
            with open(os.open(self._path, _READ), "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise delivery_error("fsync", self._path, error) from error


def _reason(reject: Reject) -> str:
    """The reason without the place in the line, which would make every reason its own."""
    whom = f"{reject.exporter}: " if reject.exporter else ""
    return (whom + _PLACE.sub("", reject.error_message))[:_MAX_REASON_CHARS]


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(Reject)
class _AppendFn(beam.DoFn):
    """Appends batches of a bundle to a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._lines: list[bytes] = []
        self._size = 0

    def setup(self) -> None:
        self._connection = FileDriver(self._path).open()

    def start_bundle(self) -> None:
        self._lines, self._size = [], 0

    def process(self, reject: Any) -> None:
        line = reject_to_json(reject)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _MAX_BATCH_BYTES:
            self._write()

    def finish_bundle(self) -> None:
        self._write()

    def teardown(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if self._connection is None:
            raise RuntimeError("rejects before setup")
        self._connection.send(lines)
