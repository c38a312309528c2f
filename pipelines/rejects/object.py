"""Rejects into one object of a store: written where they arise, one part a bundle, and put together at the end.

    rejects of a step --> part of each bundle --> names of all parts --> the object --> parts are removed

Only names of parts are ever gathered, so memory does not depend on how many rejects there are.
"""

import posixpath
import uuid
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.reject import Reject, reject_to_json
from dovebeam.transforms.store_errors import store_error_text
from dovebeam.transforms.uploads import Upload

__all__ = ["MergeRejectParts", "WriteRejectParts", "parts_folder"]

_COPIED_BYTES: Final = 1024 * 1024


def parts_folder(path: str) -> str:
    """The URL of a folder beside an object that no other job has."""
    folder, name = posixpath.split(path)
    return f"{folder}/.dovebeam/{name}-{uuid.uuid4().hex}"


class WriteRejectParts(beam.PTransform):
    """Writes the rejects of each bundle into an object of its own, as JSON lines.

    Args:
        folder: the URL of where parts are.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejects: beam.PCollection[Reject]) -> beam.PCollection[str]:
        """Rejects to the URLs of parts."""
        parts: beam.PCollection[str] = rejects | "To parts" >> beam.ParDo(_PartFn(self._folder))
        return parts


class MergeRejectParts(beam.PTransform):
    """Makes one object of all parts, in place of an older one, and removes them; without parts the object is empty.

    Args:
        path: the URL of the object; its ending says whether it is compressed.
        folder: the URL of where parts are.

    Guarantee: the object has each reject of each bundle that succeeded once, and is there whole or not at all.
    """

    def __init__(self, path: str, folder: str) -> None:
        super().__init__()
        self._path = path
        self._folder = folder

    def expand(self, parts: Any) -> Any:
        """PCollections of URLs to nothing."""
        nothing = parts[0].pipeline | "Nothing" >> beam.Create([""], reshuffle=False)
        together = (*parts, nothing) | beam.Flatten() | beam.Map(_keyed) | beam.GroupByKey()
        merged = together | "Merge" >> beam.ParDo(_MergeFn(self._path, self._folder))
        # In a step of its own: a merge that is tried again must find all parts.
        return merged | beam.Reshuffle() | "Remove parts" >> beam.ParDo(_RemoveFn())


def _keyed(part: str) -> tuple[str, str]:
    return "", part


@beam.typehints.with_input_types(Reject)
@beam.typehints.with_output_types(str)
class _PartFn(beam.DoFn):
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: Upload | None = None
        self._uri = ""

    def start_bundle(self) -> None:
        if self._file is not None:  # of a bundle that failed; nobody names it
            self._file.abandon()
            self._file = None

    def process(self, reject: Any) -> None:
        if self._file is None:
            self._uri = f"{self._folder}/{uuid.uuid4().hex}.part"
            self._file = Upload(self._uri)
        self._file.write(reject_to_json(reject) + b"\n")

    def finish_bundle(self) -> Iterable[Any]:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            yield WindowedValue(self._uri, MIN_TIMESTAMP, (GlobalWindow(),))


@beam.typehints.with_output_types(str)
class _MergeFn(beam.DoFn):
    def __init__(self, path: str, folder: str) -> None:
        self._path = path
        self._folder = folder

    def process(self, element: Any) -> Iterable[str]:
        # Some stores end an upload that fails in the middle as an object of what there was.
        whole = f"{self._folder}/{uuid.uuid4().hex}-{posixpath.basename(self._path)}"
        with Upload(whole) as file:
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
