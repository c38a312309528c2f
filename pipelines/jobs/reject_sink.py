"""Sink of rejects (dead letters): a file of JSON lines, an object of a store, or only the counters if none is named.

Rejects are consumed where they arise; those of different steps never wait for each other.
"""

import os
import posixpath
import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counters
from dovebeam.transforms.drivers import Connection, FileDriver
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.reject import Reject, reject_to_json
from dovebeam.transforms.filesystems import Upload, store_error_text
from dovebeam.transforms.local_files import is_url

__all__ = [
    "ACCOUNTED",
    "REASON",
    "CountRejects",
    "FusedErrorHandler",
    "Reasons",
    "RejectsFile",
    "WriteRejects",
    "reject_handler",
]

_COPIED_BYTES: Final = 1024 * 1024

ACCOUNTED: Final = "rejects_accounted"
"""Counter of rejects that arrived at the sink; the ledger compares it with all rejects."""

REASON: Final = "reject_reason"
"""Prefix of the counters by reason: `reject_reason/TEXT`."""

OTHER_REASONS: Final = "other reasons"

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = re.compile(r" \(byte [0-9]+\)$")
# Of one worker. Texts that quote data have no limit, and each would be a counter of its own in the runner.
_MAX_REASONS: Final = 20
_MAX_REASON_CHARS: Final = 200
_MAX_BATCH_BYTES: Final = 1024 * 1024


def reject_handler(path: str | None) -> ErrorHandler:
    """Error handler that takes the rejects of a job; a context manager around adding its steps.

    Args:
        path: of a file on this machine or URL of an object that rejects are written to; None only counts them.
    """
    if path is None:
        return FusedErrorHandler("Rejects", CountRejects())
    if not is_url(path):
        return FusedErrorHandler("Rejects", WriteRejects(path))
    folder = parts_folder(path)
    return FusedErrorHandler("Rejects", _CountedParts(folder), MergeRejectParts(path, folder))


class FusedErrorHandler(ErrorHandler):
    """An error handler that applies its consumer to the rejects of each step separately; Beam's own merges them first.

    Beam's in-process runner materialises what it merges: with a target that refuses everything, all rejects of a job
    would be in memory before the first is written. Unmerged, the consumer runs in the same stage as the step whose
    rejects it takes, one batch after the other, and when a job is stopped its rejects have been written.

    Args:
        name: label of the consuming steps.
        consumer: takes a PCollection of rejects; applied several times, so it must not claim a target for itself.
        finish: takes a tuple of the consumer's outputs, one for each step; None if there is nothing to do.
    """

    def __init__(self, name: str, consumer: beam.PTransform, finish: beam.PTransform | None = None) -> None:
        super().__init__(consumer)
        self._name = name
        self._consumer = consumer
        self._finish = finish
        self._error_pcolls: list[Any] = []

    def close(self) -> None:
        """Applies the consumer to the rejects of each step."""
        # Without Beam's own `close`, which merges.
        made = []
        for number, rejects in enumerate(self._error_pcolls):
            label = f"{self._name} {number}" if number else self._name
            made.append(rejects | label >> self._consumer)
        if made and self._finish is not None:
            _ = tuple(made) | f"{self._name} together" >> self._finish
        self._output = None
        self._closed = True


# Rejects are counted by their reasons, wherever they go.


class CountRejects(beam.PTransform):
    """Counts rejects by their reason and passes them on."""

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[Reject]:
        """Rejects to the same."""
        same: beam.PCollection[Reject] = rejects | "Count reasons" >> beam.ParDo(_CountFn())
        return same


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(Reject)
class _CountFn(beam.DoFn):
    def __init__(self) -> None:
        self._reasons = Reasons()

    def process(self, reject: Any) -> Iterable[Any]:
        counters.add(ACCOUNTED, 1)
        counters.add(REASON, 1, self._reasons.of(reject))
        yield reject


class Reasons:
    """Reasons under which a worker counts rejects, limited in number."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, reject: Reject) -> str:
        """Reason to count a reject under; `OTHER_REASONS` when the limit is reached."""
        reason = _reason(reject)
        if len(self._known) < _MAX_REASONS:
            self._known.add(reason)
        return reason if reason in self._known else OTHER_REASONS


def _reason(reject: Reject) -> str:
    """Reason of a reject, with its exporter."""
    # Without the place in the line, which would make nearly every reason unique.
    whom = f"{reject.exporter}: " if reject.exporter else ""
    return (whom + _PLACE.sub("", reject.error_message))[:_MAX_REASON_CHARS]


# Rejects in a file of this machine.


class WriteRejects(beam.PTransform):
    """Appends rejects to a file on this machine, as JSON lines.

    It works like the `file` driver: the file is created with mode 0600 and never opened through a symbolic link, and a
    failed write fails the bundle.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[Reject]:
        """Rejects to nothing."""
        nothing: beam.PCollection[Reject] = (
            rejects | CountRejects() | "Append" >> beam.ParDo(_AppendFn(os.path.abspath(self._path)))
        )
        return nothing


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(Reject)
class _AppendFn(beam.DoFn):
    """Appends the rejects of a bundle to a file, in batches."""

    def __init__(self, path: str) -> None:
        self._path = path
        # Opened on the worker, since connections never travel.
        self._connection: Connection | None = None
        self._lines: list[bytes] = []
        self._size = 0

    def setup(self) -> None:
        self._connection = FileDriver(self._path).open()

    def start_bundle(self) -> None:
        # A bundle that failed may have left lines, which come again.
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


class RejectsFile:
    """File of rejects for code outside of a pipeline, such as the queues of a stream; several may append to one file.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._connection = FileDriver(self._path).open()

    def append(self, rejects: Sequence[Reject]) -> None:
        """Appends rejects as lines, which are on the disk when this returns.

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


# Rejects in an object of a store.


class _CountedParts(beam.PTransform):
    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[str]:
        parts: beam.PCollection[str] = rejects | CountRejects() | WriteRejectParts(self._folder)
        return parts


def parts_folder(path: str) -> str:
    """URL of a folder beside an object that no other job uses."""
    folder, name = posixpath.split(path)
    return f"{folder}/.dovebeam/{name}-{uuid.uuid4().hex}"


class WriteRejectParts(beam.PTransform):
    """Writes the rejects of each bundle into an object of its own, a part, as JSON lines.

    Beam's own writer would group all rejects first, which the in-process runner keeps in memory.

    Args:
        folder: URL of the folder for parts.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[str]:
        """Rejects to the URLs of parts."""
        parts: beam.PCollection[str] = rejects | "To parts" >> beam.ParDo(_PartFn(self._folder))
        return parts


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(str)
class _PartFn(beam.DoFn):
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: Upload | None = None
        self._uri = ""

    def start_bundle(self) -> None:
        if self._file is not None:  # of a bundle that failed, so its name was never passed on
            self._file.abandon()
            self._file = None

    def process(self, reject: Any) -> None:
        # A new name for each attempt: only the parts of bundles that succeeded are merged.
        if self._file is None:
            self._uri = f"{self._folder}/{uuid.uuid4().hex}.part"
            self._file = Upload(self._uri)
        self._file.write(reject_to_json(reject) + b"\n")

    def finish_bundle(self) -> Iterable[Any]:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            yield WindowedValue(self._uri, MIN_TIMESTAMP, (GlobalWindow(),))


class MergeRejectParts(beam.PTransform):
    """Merges all parts into one object, which replaces an older one, and removes them; without parts it is empty.

    Args:
        path: URL of the object; its suffix says whether it is compressed.
        folder: URL of the folder for parts.

    Guarantee: the object has each reject of each bundle that succeeded once, and is there whole or not at all.
    """

    def __init__(self, path: str, folder: str) -> None:
        super().__init__()
        self._path = path
        self._folder = folder

    def expand(self, parts: Any) -> Any:
        """PCollections of URLs to nothing."""
        # The empty element makes the merge run also if no part was written.
        nothing = parts[0].pipeline | "Nothing" >> beam.Create([""], reshuffle=False)
        together = (*parts, nothing) | beam.Flatten() | beam.Map(_keyed) | beam.GroupByKey()
        merged = together | "Merge" >> beam.ParDo(_MergeFn(self._path, self._folder))
        # In a step of its own: a merge that is tried again must find all parts.
        return merged | beam.Reshuffle() | "Remove parts" >> beam.ParDo(_RemoveFn())


def _keyed(part: str) -> tuple[str, str]:
    return "", part


@beam.typehints.with_output_types(str)
class _MergeFn(beam.DoFn):
    def __init__(self, path: str, folder: str) -> None:
        self._path = path
        self._folder = folder

    def process(self, element: Any) -> Iterable[str]:
        # Some stores turn an upload that fails in the middle into an object, so it is made under another name.
        whole = f"{self._folder}/{uuid.uuid4().hex}-{posixpath.basename(self._path)}"
        with Upload(whole) as file:
            # Sorted, so that a merge that is tried again makes the same object.
            for part in sorted(filter(None, element[1])):
                _copy(part, file)
        try:
            FileSystems.rename([whole], [self._path])
        except Exception as error:  # every file system has its own
            raise DeliveryError(f"{self._path} cannot be written: {store_error_text(error)}", self._path) from error
        yield self._folder


class _RemoveFn(beam.DoFn):
    def process(self, folder: str) -> None:
        found = FileSystems.match([f"{folder}/**"])[0].metadata_list
        if found:
            FileSystems.delete([each.path for each in found])


def _copy(part: str, target: Upload) -> None:
    with closing(FileSystems.open(part, compression_type=CompressionTypes.UNCOMPRESSED)) as source:
        while chunk := source.read(_COPIED_BYTES):
            target.write(chunk)
