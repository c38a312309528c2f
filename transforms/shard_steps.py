"""The steps of `WriteToShards`: parts by bundles, files by plan, and one commit."""

import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counters, progress
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.filesystems import Upload, store_error_text
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.shards.committing import commit
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import LocalStore, Store
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import UNKNOWN_OFFSET, FilePlan, Framing, Piece, WrittenFile, plan_files

__all__ = [
    "ACCOUNT",
    "Account",
    "ClearFn",
    "CommitFn",
    "ComposeFn",
    "PartsFn",
    "PlanFn",
    "RemoteStore",
    "ShardSettings",
    "make_store",
]


_BINARY = "application/octet-stream"


def make_store(base: str, mode: int, directory_mode: int) -> Store:
    """The store of a base: a directory of this machine, or the URL of a folder in an object store."""
    return RemoteStore(base) if is_url(base) else LocalStore(base, mode, directory_mode)


class RemoteStore:
    """Objects below a URL. Object stores have no links, no modes, and write an object whole or not at all."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:  # noqa: ARG002  no modes here
        """See `Store`."""
        uri = self._uri(name)
        if self.stamp(name):
            raise DeliveryError(f"{uri} exists, and a temporary object must be new (remove it, or wait)", uri)
        return cast(BinaryIO, self._called(uri, lambda: Upload(uri, CompressionTypes.UNCOMPRESSED)))

    def open(self, name: str) -> BinaryIO:
        """See `Store`."""
        uri = self._uri(name)
        return cast(BinaryIO, self._called(uri, lambda: FileSystems.open(uri, _BINARY, CompressionTypes.UNCOMPRESSED)))

    def names(self, directory: str) -> list[str]:
        """See `Store`."""
        return [path.rpartition("/")[2] for path in self._below(directory)]

    def stamp(self, name: str) -> str:
        """See `Store`."""
        uri = self._uri(name)
        if not self._called(uri, lambda: FileSystems.exists(uri)):
            return ""
        return f"={self._called(uri, lambda: FileSystems.checksum(uri))}"

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """See `Store`: a copy, whose failure is an error, and then the temporary object is removed."""
        source, target = self._uri(temporary), self._uri(final)
        if not replaces and self.stamp(final):
            raise DeliveryError(f"{target} has appeared while the job ran; nothing was replaced", target)
        self._called(target, lambda: FileSystems.rename([source], [target]))

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        uri = self._uri(name)

        def write() -> None:
            with Upload(uri, CompressionTypes.UNCOMPRESSED) as file:
                file.write(content)

        self._called(uri, write)

    def delete(self, name: str) -> None:
        """See `Store`."""
        if self.stamp(name):
            uri = self._uri(name)
            self._called(uri, lambda: FileSystems.delete([uri]))

    def alone(self, name: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002  object stores have no locks
        """See `Store`."""
        return contextlib.nullcontext()

    def delete_tree(self, directory: str) -> None:
        """See `Store`."""
        names = self._below(directory)
        if names:
            self._called(self._uri(directory), lambda: FileSystems.delete(names))

    def _below(self, directory: str) -> list[str]:
        uri = self._uri(directory)
        found = self._called(uri, lambda: FileSystems.match([f"{uri}/**"])[0].metadata_list)
        return [each.path for each in found if each.path.startswith(f"{uri}/")]  # a bracket in it is a pattern

    def _uri(self, name: str) -> str:
        return f"{self._base}/{name}"

    @staticmethod
    def _called(uri: str, call: Callable[[], Any]) -> Any:
        """What a call returns; every file system has its own exceptions."""
        try:
            return call()
        except DeliveryError:
            raise
        except Exception as error:
            raise DeliveryError(f"{uri}: {store_error_text(error)}", uri) from error


# The steps of `WriteToShards`: parts by bundles, files by plan, and one commit.

ACCOUNT = "account"
"""The tag of what a step says it has done, for the commit to compare."""


class ShardSettings(NamedTuple):
    """What all steps must know.

    Attributes:
        base: a directory, or the URL of a folder in an object store.
        default_path: the file of payloads without a path, relative to the base; empty if all must have one.
        layout: names of the run.
        framing: how payloads lie in files.
        max_bytes: where files end, 0 for a default.
        mode: of final files.
        directory_mode: of directories that they need.
        window_secs: length of the windows of input without an end, 0 for none.
        delay_secs: how long after the end of a window its files are written.
        buckets: how many panes a window has that can be written at the same time.
    """

    base: str
    default_path: str
    layout: Layout
    framing: Framing
    max_bytes: int
    mode: int
    directory_mode: int
    window_secs: int = 0
    delay_secs: int = 0
    buckets: int = 1

    def store(self) -> Store:
        """The place, on this worker."""
        return make_store(self.base, self.mode, self.directory_mode)


class Account(NamedTuple):
    """A part of what the commit must find.

    Attributes:
        events: payloads that were written into parts.
        files: files that were planned.
    """

    events: int = 0
    files: int = 0


class ClearFn(beam.DoFn):
    """Removes what a run of the same name has left that did not come to its end."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: str) -> Iterable[str]:
        """A directory to itself, when it is gone."""
        self._settings.store().delete_tree(element)
        yield element


class PartsFn(beam.DoFn):
    """Writes the payloads of a bundle into a part; pieces by their paths, and tagged an `Account`."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings
        self._writer: PartWriter | None = None
        self._events = 0
        self._bytes = 0

    def setup(self) -> None:
        """Beam's hook: finds the place."""
        self._store = self._settings.store()

    def start_bundle(self) -> None:
        """A bundle that failed leaves a part behind, which nobody names."""
        self._abandon()
        name = self._settings.layout.part(uuid.uuid4().hex)
        self._writer = PartWriter(self._store, name, self._settings.framing, self._settings.max_bytes)
        self._events = self._bytes = 0

    def process(self, element: Any, cleared: str) -> Iterable[Any]:  # noqa: ARG002  asked for to be later than it
        """Takes payloads."""
        batch = element if isinstance(element, PayloadBatch) else PayloadBatch([element])
        if self._writer is None:
            raise RuntimeError("payloads before the bundle began")
        for path, payloads, first in by_path(batch.paths, batch.payloads, self._default_path(batch)):
            offset = batch.offsets[first] if batch.offsets else None
            origin = (batch.source_uri, UNKNOWN_OFFSET if offset is None else offset)
            yield from map(_keyed, self._writer.add(path, payloads, origin))
        self._events += len(batch)
        self._bytes += sum(map(len, batch.payloads))
        progress.advance(delivered=len(batch))

    def finish_bundle(self) -> Iterable[Any]:
        """Gives the rest, now that the part is complete."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        pieces = writer.finish()
        exporter = self._settings.layout.exporter
        counters.add("delivered", self._events, exporter)
        counters.add("delivered_bytes", self._bytes, exporter)
        yield from (_in_batch(_keyed(piece)) for piece in pieces)
        yield beam.pvalue.TaggedOutput(ACCOUNT, _in_batch(Account(events=self._events)))

    def teardown(self) -> None:
        """Beam's hook."""
        self._abandon()

    def _default_path(self, batch: PayloadBatch) -> str:
        path = self._settings.default_path
        if not path and not batch.paths:
            message = "file_path_template and file_rotate_interval need the events; export them with ExportEvents"
            raise DeliveryError(f"{message}, or write formatted payloads to one file", self._settings.base)
        return path

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


def _keyed(piece: Piece) -> tuple[bytes, Piece]:
    """As bytes: Beam's coder of strings refuses what is not UTF-8."""
    return piece.path.encode("utf-8", "surrogateescape"), piece


def _in_batch(value: Any) -> WindowedValue:
    """An element when a bundle ends. `WriteToShards` sees to it that all are in the global window."""
    return WindowedValue(value, MIN_TIMESTAMP, (GlobalWindow(),))


class PlanFn(beam.DoFn):
    """Makes the plans of all files of a path, and tagged an `Account`."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: Any) -> Iterator[Any]:
        """A path and all its pieces to plans."""
        path = element[0].decode("utf-8", "surrogateescape")
        try:
            plans = plan_files(path, element[1], self._settings.layout, self._settings.max_bytes)
        except ValueError as error:
            raise DeliveryError(str(error), self._settings.base) from error
        yield beam.pvalue.TaggedOutput(ACCOUNT, Account(files=len(plans)))
        yield from plans


@beam.typehints.with_input_types(FilePlan)
@beam.typehints.with_output_types(WrittenFile)
class ComposeFn(beam.DoFn):
    """Writes a file under a temporary name."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        """Beam's hook: finds the place."""
        self._store = self._settings.store()

    def process(self, plan: Any) -> Iterable[Any]:
        """One plan to one `WrittenFile`."""
        layout = self._settings.layout
        temporary = layout.written(uuid.uuid4().hex)
        yield compose(self._store, plan, temporary, self._settings.framing, layout.compression)
        progress.advance()


class CommitFn(beam.DoFn):
    """Gives all files their names."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: Any) -> Iterable[Any]:
        """All files and accounts to a `Manifest`."""
        found = list(element[1])
        files = [each for each in found if isinstance(each, WrittenFile)]
        _check_account(files, [each for each in found if isinstance(each, Account)])
        manifest = commit(self._settings.store(), self._settings.layout, files)
        counters.add("files", len(files), self._settings.layout.exporter)
        yield manifest


def _check_account(files: Iterable[WrittenFile], accounts: Iterable[Account]) -> None:
    """A runner that lost something on the way, or brought it twice, must not end as done."""
    accounts = list(accounts)
    events = [file.events for file in files]
    promised = Account(sum(each.events for each in accounts), sum(each.files for each in accounts))
    found = Account(sum(events), len(events))
    if found != promised:
        raise DeliveryError(
            f"{promised.events} events in {promised.files} files were expected, {found.events} in {found.files} found; "
            "nothing was put in place (run the job again)"
        )
