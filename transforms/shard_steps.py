"""Steps of `WriteToShards`: bundles write parts, a plan makes files of them, and one commit gives the names.

Also the settings that all steps share, and the store of a run: a directory, or a folder of an object store.
"""

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
    """Store of a base, which is a directory of this machine or the URL of a folder in an object store."""
    return RemoteStore(base) if is_url(base) else LocalStore(base, mode, directory_mode)


class RemoteStore:
    """Store of objects below a URL: without links and modes, each object written whole or not at all."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def create(self, name: str, *, is_part: bool, lasting: bool = False) -> BinaryIO:  # noqa: ARG002  no modes here
        """See `Store`."""
        uri = self._uri(name)
        # Object stores replace without asking, unlike O_EXCL on a disk.
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
        # Never empty, also if a file system has no checksums: empty means that there is no object.
        return f"={self._called(uri, lambda: FileSystems.checksum(uri))}"

    def publish(self, temporary: str, final: str, *, replaces: bool) -> None:
        """See `Store`: copies the object, and then removes the temporary one."""
        source, target = self._uri(temporary), self._uri(final)
        # There is no link that fails if the name is taken, so a writer between this look and the copy is not noticed.
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
        # A bracket or a star in the base is a pattern for Beam, which may match other folders, too.
        return [each.path for each in found if each.path.startswith(f"{uri}/")]

    def _uri(self, name: str) -> str:
        return f"{self._base}/{name}"

    @staticmethod
    def _called(uri: str, call: Callable[[], Any]) -> Any:
        """Result of a call; any exception of a file system becomes a `DeliveryError`."""
        try:
            return call()
        except DeliveryError:
            raise
        except Exception as error:
            raise DeliveryError(f"{uri}: {store_error_text(error)}", uri) from error


ACCOUNT = "account"
"""Tag of an `Account`, in which a step tells the commit what it has done."""


class ShardSettings(NamedTuple):
    """Settings that all steps share.

    Attributes:
        base: a directory, or the URL of a folder in an object store.
        default_path: the file of payloads without a path, relative to the base; empty if all must have one.
        layout: names of the run.
        framing: how payloads lie in files.
        max_bytes: where files end, 0 for a default.
        mode: of final files.
        directory_mode: of directories that they need.
        window_secs: length of the windows of unbounded input, 0 for bounded.
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
        """The store, opened on this worker."""
        return make_store(self.base, self.mode, self.directory_mode)


class Account(NamedTuple):
    """Part of the sums that the commit must find.

    Attributes:
        events: payloads that were written into parts.
        files: files that were planned.
    """

    events: int = 0
    files: int = 0


class ClearFn(beam.DoFn):
    """Removes what an earlier run of the same name left, if it did not finish."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: str) -> Iterable[str]:
        """Removes a directory, and passes its name on."""
        self._settings.store().delete_tree(element)
        yield element


class PartsFn(beam.DoFn):
    """Writes the payloads of a bundle into a part; emits pieces by their paths, and an `Account`."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings
        self._writer: PartWriter | None = None
        self._events = 0
        self._bytes = 0

    def setup(self) -> None:
        """Opens the store."""
        self._store = self._settings.store()

    def start_bundle(self) -> None:
        """Begins a part."""
        # A bundle that failed leaves a part behind, which no plan names.
        self._abandon()
        name = self._settings.layout.part(uuid.uuid4().hex)
        self._writer = PartWriter(self._store, name, self._settings.framing, self._settings.max_bytes)
        self._events = self._bytes = 0

    # `cleared` is not used: a side input makes this step wait for `ClearFn`, which would remove new parts otherwise.
    def process(self, element: Any, cleared: str) -> Iterable[Any]:  # noqa: ARG002
        """Writes payloads, and emits the pieces that are full."""
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
        """Completes the part, and emits the other pieces and the account."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        pieces = writer.finish()
        # Counted when the part is closed: before, the store may still refuse it.
        exporter = self._settings.layout.exporter
        counters.add("delivered", self._events, exporter)
        counters.add("delivered_bytes", self._bytes, exporter)
        yield from (_in_batch(_keyed(piece)) for piece in pieces)
        yield beam.pvalue.TaggedOutput(ACCOUNT, _in_batch(Account(events=self._events)))

    def teardown(self) -> None:
        """Removes an unfinished part."""
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
    """The piece with its path as key."""
    # As bytes, since Beam's coder of strings refuses what is not UTF-8.
    return piece.path.encode("utf-8", "surrogateescape"), piece


def _in_batch(value: Any) -> WindowedValue:
    """An output of `finish_bundle`, where Beam wants a window with each element."""
    # `WriteShardFiles` puts everything into the global window first.
    return WindowedValue(value, MIN_TIMESTAMP, (GlobalWindow(),))


class PlanFn(beam.DoFn):
    """Plans all files of a path; emits the plans, and an `Account`."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: Any) -> Iterator[Any]:
        """Plans the files of a path and all its pieces."""
        # All pieces of a path are here at once, as small indexes: only then the order of the source is known.
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
    """Composes a file of its pieces, under a temporary name."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        """Opens the store."""
        self._store = self._settings.store()

    def process(self, plan: Any) -> Iterable[Any]:
        """Writes the file of a plan."""
        layout = self._settings.layout
        # A name of its own for each attempt, since a runner may run two at the same time.
        temporary = layout.written(uuid.uuid4().hex)
        yield compose(self._store, plan, temporary, self._settings.framing, layout.compression)
        progress.advance()


class CommitFn(beam.DoFn):
    """Gives all files of the run their names."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: Any) -> Iterable[Any]:
        """Checks all files against the accounts, and commits them."""
        found = list(element[1])
        files = [each for each in found if isinstance(each, WrittenFile)]
        _check_account(files, [each for each in found if isinstance(each, Account)])
        manifest = commit(self._settings.store(), self._settings.layout, files)
        counters.add("files", len(files), self._settings.layout.exporter)
        yield manifest


def _check_account(files: Iterable[WrittenFile], accounts: Iterable[Account]) -> None:
    """Compares the files with what the steps before have done.

    Raises:
        DeliveryError: the runner lost elements on the way, or delivered them twice.
    """
    accounts = list(accounts)
    events = [file.events for file in files]
    promised = Account(sum(each.events for each in accounts), sum(each.files for each in accounts))
    found = Account(sum(events), len(events))
    if found != promised:
        raise DeliveryError(
            f"{promised.events} events in {promised.files} files were expected, {found.events} in {found.files} found; "
            "nothing was put in place (run the job again)"
        )
