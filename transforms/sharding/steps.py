"""The steps of `WriteShards`: parts by bundles, files by plan, and one commit."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counting, progress
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.plan import PayloadBatch
from dovebeam.transforms.sharding.remote_store import make_store
from dovebeam.transforms.shards.committing import commit
from dovebeam.transforms.shards.composing import compose
from dovebeam.transforms.shards.framing import Framing
from dovebeam.transforms.shards.layout import Layout
from dovebeam.transforms.shards.part_writer import PartWriter, by_path
from dovebeam.transforms.shards.pieces import FilePlan, Part, WrittenFile
from dovebeam.transforms.shards.planning import plan_files
from dovebeam.transforms.shards.store import Store

__all__ = ["CommitFn", "ComposeFn", "PartsFn", "PlanFn", "ShardSettings", "Total"]

_UNKNOWN = -1


class ShardSettings(NamedTuple):
    """What all steps must know.

    Attributes:
        base: a directory, or the URL of a folder in an object store.
        default_path: the file of payloads without a path, relative to the base.
        layout: names of the run.
        framing: how payloads lie in files.
        max_bytes: where files end, 0 for a default.
        mode: of final files.
        directory_mode: of directories that they need.
    """

    base: str
    default_path: str
    layout: Layout
    framing: Framing
    max_bytes: int
    mode: int
    directory_mode: int

    def store(self) -> Store:
        """The place, on this worker."""
        return make_store(self.base, self.mode, self.directory_mode)


class Total(NamedTuple):
    """What the commit must find: so many files with so many events."""

    files: int
    events: int


@beam.typehints.with_output_types(Part)
class PartsFn(beam.DoFn):
    """Writes the payloads of a bundle into a part."""

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings
        self._writer: PartWriter | None = None
        self._told = (0, 0)

    def setup(self) -> None:
        """Beam's hook: finds the place."""
        self._store = self._settings.store()

    def start_bundle(self) -> None:
        """A bundle that failed leaves a part behind, which nobody names."""
        self._abandon()
        layout = self._settings.layout
        name = layout.part(uuid.uuid4().hex)
        self._writer = PartWriter(self._store, name, self._settings.framing, self._settings.max_bytes)
        self._told = (0, 0)

    def process(self, element: Any) -> None:
        """Takes payloads."""
        batch = element if isinstance(element, PayloadBatch) else PayloadBatch([element])
        if self._writer is None:
            raise RuntimeError("payloads before the bundle began")
        for path, payloads, first in by_path(batch.paths, batch.payloads, self._settings.default_path):
            offset = batch.offsets[first] if batch.offsets else None
            origin = (batch.source_uri, _UNKNOWN if offset is None else offset)
            self._writer.add(path, payloads, origin)
        events, size = self._told
        self._told = events + len(batch), size + sum(map(len, batch.payloads))
        progress.advance(delivered=len(batch))

    def finish_bundle(self) -> Iterable[Any]:
        """Gives the account of the bundle's part."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        part = writer.finish()
        exporter = self._settings.layout.exporter
        counting.add("delivered", self._told[0], exporter)
        counting.add("delivered_bytes", self._told[1], exporter)
        if part.pieces:
            yield WindowedValue(part, MIN_TIMESTAMP, (GlobalWindow(),))

    def teardown(self) -> None:
        """Beam's hook."""
        self._abandon()

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


class PlanFn(beam.DoFn):
    """Makes the plan of all files out of the accounts of all parts; the main output is plans, tagged their total."""

    TOTAL = "total"

    def __init__(self, settings: ShardSettings) -> None:
        self._settings = settings

    def process(self, element: Any) -> Iterable[Any]:
        """All accounts to all plans."""
        _, parts = element
        known = [part for part in parts if isinstance(part, Part)]
        try:
            plans = plan_files(known, self._settings.layout, self._settings.max_bytes)
        except ValueError as error:
            raise DeliveryError(str(error), self._settings.base) from error
        events = sum(piece.events for part in known for piece in part.pieces)
        yield beam.pvalue.TaggedOutput(self.TOTAL, Total(len(plans), events))
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
        """All files and their total to a `Manifest`."""
        _, found = element
        found = list(found)
        files = [each for each in found if isinstance(each, WrittenFile)]
        [total] = [each for each in found if isinstance(each, Total)]
        _check_total(files, total)
        manifest = commit(self._settings.store(), self._settings.layout, files)
        counting.add("files", len(files), self._settings.layout.exporter)
        yield manifest


def _check_total(files: Sequence[WrittenFile], total: Total) -> None:
    """A runner that lost a file, or brought one twice, must not end as done."""
    written = Total(len(files), sum(file.events for file in files))
    if written != total:
        raise DeliveryError(f"{total.files} files with {total.events} events were planned, {written} were written")
