"""`WriteToWindowShards`: writes shards of unbounded input, in files for windows of event time.

    payloads --> Parts, by window --> pieces --> Beam's windows --> a pane --> Write

Pieces carry the time of their window, and Beam says when it is over. Later events come in further panes, which make
further files; nothing is ever too late.

`SpoolDriver` does the same for a stream on one machine, where no runner keeps what waits for the end of a window: it
puts payloads into a spool, of which the launcher makes the files.
"""

import contextlib
import hashlib
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import apache_beam as beam
from apache_beam.transforms.trigger import AccumulationMode, AfterProcessingTime, AfterWatermark
from apache_beam.transforms.window import FixedWindows, GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counters, progress
from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure, FileDriver
from dovebeam.transforms.drivers.file.routing import WindowRouter, split_windowed, window_start_secs
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.shard_steps import ShardSettings, make_store
from dovebeam.transforms.shards.committing import Manifest
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.local_store import Store
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import Lines, Piece
from dovebeam.transforms.shards.spool import Publisher, Spool, SpooledPart, time_mark, write_pane

__all__ = ["SpoolDriver", "WriteToWindowShards"]


_LATENESS_SECS: Final = 200 * 366 * 24 * 3600
"""From 1970 on, so Beam drops nothing, for a few bytes of state a window. Prism's clock ends after 292 years."""

# Of a hash: enough for the few panes of one window and key.
_DIGITS: Final = 8
_LINES: Final = Lines()


class WriteToWindowShards(beam.PTransform):
    """Writes payloads with the windows of their events (batches from `ExportEvents`) into files, pane by pane.

    Args:
        settings: from `shard_settings`, with windows.

    Guarantee: every payload is in a file, exactly once where the runner's own state is exact (as Dataflow's is, unless
    it processes at least once). No file is replaced. What failed bundles leave in `.dovebeam/` stays there. Output: a
    `Manifest` for each pane.
    """

    def __init__(self, settings: ShardSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, payloads: beam.PCollection[bytes | PayloadBatch]) -> beam.PCollection[Manifest]:
        """Unbounded batches to a manifest for each pane."""
        settings = self._settings
        if not payloads.windowing.is_default():
            payloads = payloads | "Any window" >> beam.WindowInto(GlobalWindows())
        windows = beam.WindowInto(
            # A window of Beam is a window of events moved by the delay, so it is over when the delay is, too.
            FixedWindows(settings.window_secs, window_start_secs(0, settings.window_secs) + settings.delay_secs),
            # Late events are collected for the length of the delay, so that stragglers make few files.
            trigger=AfterWatermark(late=AfterProcessingTime(settings.delay_secs)),
            accumulation_mode=AccumulationMode.DISCARDING,
            allowed_lateness=Duration(seconds=_LATENESS_SECS),
        )
        panes: beam.PCollection[Manifest] = (
            payloads
            | "Parts" >> beam.ParDo(_WindowPartsFn(settings))
            | "Windows" >> windows
            | "Panes" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(_PaneFn(settings))
        )
        return panes


class _WindowPartsFn(beam.DoFn):
    """Writes the payloads of a bundle into a part for each window and key; emits pieces by their keys."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings
        self._writers: dict[tuple[int, bytes], PartWriter] = {}
        self._events = 0
        self._bytes = 0

    def setup(self) -> None:
        """Opens the store."""
        self._store = self._settings.store()

    def start_bundle(self) -> None:
        """Starts with nothing in hand."""
        # A bundle that failed leaves parts behind, which no pane names.
        self.teardown()
        self._events = self._bytes = 0

    def process(self, element: Any) -> Iterator[Any]:
        """Writes payloads, and emits the pieces that are full."""
        batch = element if isinstance(element, PayloadBatch) else PayloadBatch([element])
        if not batch.paths:
            message = "files for windows of time need the events; export them with ExportEvents"
            raise DeliveryError(message, self._settings.base)
        for place, payloads, _ in by_path(batch.paths, batch.payloads, ""):
            window, path = split_windowed(place)
            # Not hash(), which differs between workers.
            key = b"%d" % (zlib.crc32(path.encode("utf-8", "surrogateescape")) % self._settings.buckets)
            # The time of arrival, since messages have no other order.
            for piece in self._writer(window, key).add(path, payloads, ("", time.time_ns())):
                yield self._timed(window, key, piece)
        self._events += len(batch)
        self._bytes += sum(map(len, batch.payloads))
        progress.advance(delivered=len(batch))

    def finish_bundle(self) -> Iterator[Any]:
        """Completes the parts, and emits the other pieces."""
        writers, self._writers = self._writers, {}
        for (window, key), writer in writers.items():
            for piece in writer.finish():
                yield self._timed(window, key, piece)
        exporter = self._settings.layout.exporter
        counters.add("delivered", self._events, exporter)
        counters.add("delivered_bytes", self._bytes, exporter)

    def teardown(self) -> None:
        """Removes unfinished parts."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.abandon()

    def _writer(self, window: int, key: bytes) -> PartWriter:
        """The writer of a window and key."""
        # A part for each, so that the pane that has made its files of a part may remove it. On the disk to stay: the
        # runner acknowledges the input when the bundle ends.
        writer = self._writers.get((window, key))
        if writer is None:
            settings = self._settings
            name = settings.layout.part(uuid.uuid4().hex)
            writer = PartWriter(self._store, name, settings.framing, settings.max_bytes, lasting=True)
            self._writers[window, key] = writer
        return writer

    def _timed(self, window: int, key: bytes, piece: Piece) -> WindowedValue:
        """The piece with its key, at the time of its window."""
        # Beam's windows begin in 1970 here; the path of an older event still names its own window.
        begin = window_start_secs(max(window, 0), self._settings.window_secs)
        return WindowedValue((key, piece), Timestamp(begin + self._settings.delay_secs), (GlobalWindow(),))


class _PaneFn(beam.DoFn):
    """Writes the files of a pane."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(
        self, element: Any, window: Any = beam.DoFn.WindowParam, pane: Any = beam.DoFn.PaneInfoParam
    ) -> Iterable[Manifest]:
        """Writes the files of a key's pieces, and emits their manifest."""
        key, pieces = element[0], list(element[1])
        settings = self._settings
        store, parts = settings.store(), sorted({piece.part for piece in pieces})
        layout = self._layout(int(window.start) - settings.delay_secs, key, pane.index, parts)
        manifest = write_pane(store, layout, pieces, settings.framing, settings.max_bytes)
        # After the files have their names. If this is interrupted, the repeated pane finds its files by their names.
        for part in parts:
            store.delete(part)
        counters.add("files", len(manifest.files), settings.layout.exporter)
        yield manifest

    def _layout(self, window: int, key: bytes, index: int, parts: Iterable[str]) -> Layout:
        """Names of a pane's files."""
        # With a hash of the pane's parts: a pane that a runner repeats gets the same names, and two panes to which it
        # gives one number do not.
        whole = self._settings.layout
        content = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]
        mark = f"{whole.run_id}-{max(index, 0):03}-{content}"
        return Layout(whole.exporter, f"{time_mark(window)}-{key.decode()}-{mark}", whole.compression, mark)


@dataclass(frozen=True, slots=True)
class SpoolDriver(Driver):
    """Keeps payloads on disk, by the windows of their events, until a `Publisher` makes files of them.

    Attributes:
        files: the driver of the exporter, with `file_writing` shards and windows.
        exporter: its name.
        stream: name of the stream, the same after every start.

    Parallelism: any number of connections and processes that see the store; one process makes the files.

    Delivery: at least once. A bundle that succeeded has its payloads on the disk, and they stay there until they are in
    a file that has its name. Payloads of a bundle that fails after spooling are there twice when it is repeated.
    """

    files: FileDriver
    exporter: str
    stream: str

    name: ClassVar[str] = "file"

    def router(self) -> WindowRouter | None:
        """Router that gives the window with the path."""
        paths = self.files.router()
        return None if paths is None else WindowRouter(paths)

    @property
    def max_batch_events(self) -> int:
        """Limit of the files' own driver."""
        return self.files.max_batch_events

    @property
    def endpoint(self) -> str:
        """Path of the files' own driver."""
        return self.files.endpoint

    def display_items(self) -> dict[str, str | int | bool]:
        """Settings of the files' own driver."""
        return self.files.display_items()

    def store(self) -> Store:
        """The store, opened on this worker."""
        return make_store(self.files.base, self.files.mode, self.files.directory_mode)

    def publisher(self) -> Publisher:
        """Publisher that makes the files, for the launcher."""
        return Publisher(
            self.store(),
            self.exporter,
            self.stream,
            compression=self.files.file_compression,
            framing=_LINES,
            max_bytes=self.files.rotate_size,
            window_secs=self.files.rotate_interval_secs,
            delay_msec=self.files.file_window_delay_msec or 0,
        )

    def open(self) -> Connection:
        """A connection that makes a part for each window of a bundle."""
        return _SpoolConnection(self)


class _Part:
    """Part that is being written, with its pieces so far."""

    def __init__(self, part: SpooledPart, writer: PartWriter) -> None:
        self.part = part
        self.writer = writer
        self.pieces: list[Piece] = []


class _SpoolConnection(Connection):
    """Connection to the spool: a part for each window of a bundle; `flush` completes them."""

    def __init__(self, driver: SpoolDriver) -> None:
        super().__init__()
        self._driver = driver
        self._store = driver.store()
        self._spool = Spool(self._store, driver.exporter, driver.stream)
        self._parts: dict[int, _Part] = {}

    def flush(self) -> None:
        """Puts all parts on the disk, where the publisher sees them."""
        parts, self._parts = self._parts, {}
        for each in parts.values():
            each.pieces += each.writer.finish()
            self._spool.complete(each.part, each.pieces)

    def deliver(self, batch: Batch) -> list[Failure]:
        if len(batch.paths) != len(batch):
            message = "files for windows of time need the events; export them with ExportEvents"
            raise DeliveryError(message, self._driver.endpoint)
        for place, payloads, _ in by_path(batch.paths, batch.payloads, ""):
            window, path = split_windowed(place)
            part = self._parts.get(window) or self._begin(window)
            # The time is the only order that messages and lines of several files have.
            part.pieces += part.writer.add(path, payloads, ("", time.time_ns()))
        return []

    def _begin(self, window: int) -> _Part:
        part = SpooledPart(window, time.time_ns() // 1_000_000, uuid.uuid4().hex)
        name = self._spool.part_name(part)
        writer = PartWriter(self._store, name, _LINES, self._driver.files.rotate_size, lasting=True)
        self._parts[window] = _Part(part, writer)
        return self._parts[window]

    def release(self) -> None:
        """Removes what a failed bundle left."""
        parts, self._parts = self._parts, {}
        for each in parts.values():
            each.writer.abandon()
            # It may be the store that failed the bundle; what is left has no index, so no publisher takes it.
            with contextlib.suppress(DeliveryError):
                self._store.delete(self._spool.part_name(each.part))
