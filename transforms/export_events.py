"""`ExportEvents`: the whole export of a configuration, from events to every exporter's target.

    blocks or events --> Match and format --+--> Deliver to A --> rejects
                                            +--> Deliver to B --> rejects

One stage matches all metrics and writes their formats, so that the cost of an event does not grow with the number of
metrics; behind it is one branch for each exporter. Payloads travel in batches.

In a stream with several exporters the branches end in queues on disk, from which its launcher delivers:

    blocks --> Match, format and queue --> queue of A, queue of B
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import apache_beam as beam

from dovebeam.transforms import counters, progress
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.config import Config, make_driver
from dovebeam.transforms.drivers import Driver, FileDriver, Router
from dovebeam.transforms.drivers.file.routing import PathRouter, WindowRouter
from dovebeam.transforms.drivers.file.settings import shard_clashes
from dovebeam.transforms.error_handling import REJECTED, RejectingTransform
from dovebeam.transforms.events.event import Event, TimeRange
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.decoding import Outcome, PayloadBatch
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.plan.queue import QueueWriter
from dovebeam.transforms.sources import Block
from dovebeam.transforms.write_to_exporter import WriteToExporter

__all__ = ["ExportEvents"]

_ALWAYS = TimeRange()
# The launcher marks a full queue by a file, as workers may be other processes, so it is looked for again and again.
_LOOK_SECS: Final = 0.1


class ExportEvents(RejectingTransform):
    """Exports events as a configuration describes: metrics match, exporters format and deliver.

    Takes a PCollection of `Block` (from `ReadFromFiles`, which is faster) or of `Event`.

    Args:
        config: from `load_config`.
        time_range: only events in this range; others are counted as out of range.
        drivers: drivers that replace those of the configuration, by exporter; the formats stay as configured.
        max_line_bytes: longer lines of blocks are rejected.
        run_id: see `WriteToExporter`.
        queues: directory of queues that payloads are put into, instead of being delivered; empty to deliver them. The
            reader of the queues delivers the payloads, and makes rejects of those that a target refuses.

    Raises:
        DriverSettingError: an exporter can never deliver, or the shards of two exporters would have the same names.

    Rejects: lines that are not events, and payloads that a target refused.

    Guarantee: every event of a bundle that succeeded was undecodable, out of range or unmatched, or each exporter of a
    matching metric has delivered it at least once or rejected it. Counters in the namespace `dovebeam` account for
    every event.
    """

    def __init__(
        self,
        config: Config,
        *,
        time_range: TimeRange = _ALWAYS,
        drivers: Mapping[str, Driver] | None = None,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        run_id: str = "",
        queues: str = "",
    ) -> None:
        super().__init__()
        # Metrics without an exporter only count in Dovecot's own statistics. A dict keeps the configuration's order.
        used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
        replaced = drivers or {}
        # All drivers are made at launch, so that one that can never deliver is an error before anything is read.
        chosen = {name: replaced.get(name) or make_driver(config.exporters[name]) for name in used}
        # Two exporters with the same base and names would replace each other's files.
        for clash in shard_clashes(chosen).values():
            raise clash
        self._routers = {name: router for name, driver in chosen.items() if (router := driver.router()) is not None}
        self._shards = [name for name, driver in chosen.items() if _has_shards(driver)]
        self._config, self._time_range = config, time_range
        self._deliveries = {name: WriteToExporter(driver, name=name, run_id=run_id) for name, driver in chosen.items()}
        self._max_line_bytes = max_line_bytes
        self._queues = queues

    def expand(self, source: beam.PCollection[Block | Event]) -> None:
        """Blocks or events to nothing."""
        plan = make_plan(self._config, self._time_range, self._routers_for(source))
        if self._queues:
            queue = beam.ParDo(_QueueFn(plan, self._max_line_bytes, self._queues))
            self.route_rejects(source | "Match, format and queue" >> queue)
            return
        # By number, since an exporter may have the name of the main output.
        tags = {name: f"to_{index}" for index, name in enumerate(plan.exporters)}
        batches = dict.fromkeys(tags.values(), PayloadBatch)
        export = beam.ParDo(_ExportFn(plan, tags, self._max_line_bytes)).with_output_types(Reject, **batches)
        outputs = source | "Match and format" >> export.with_outputs(*tags.values(), main=REJECTED)
        self.route_rejects(outputs[REJECTED])
        for name, delivery in self._deliveries.items():
            payloads = outputs[tags[name]]
            _ = payloads | f"Deliver to {name}" >> delivery.with_error_handler(self._error_handler)

    def _routers_for(self, source: Any) -> Mapping[str, Router]:
        """The routers; with unbounded input those of shards also give the window, which their files are written by."""
        if source.is_bounded:
            return self._routers
        windowed = {
            name: WindowRouter(router)
            for name in self._shards
            if isinstance(router := self._routers.get(name), PathRouter) and router.window_secs
        }
        return {**self._routers, **windowed}


def _has_shards(driver: Driver) -> bool:
    return isinstance(driver, FileDriver) and driver.file_writing == "shards"


class _PlanFn(beam.DoFn):
    """Matches and formats the events of a block together, or a single event."""

    def __init__(self, plan: ExportPlan, max_line_bytes: int) -> None:
        self._plan = plan
        self._max_line_bytes = max_line_bytes

    def _outcome(self, element: Any) -> Outcome:
        """The outcome of an element, which is counted and reported to the launcher."""
        if isinstance(element, Event):
            outcome, size = self._plan.export_events([element]), 0
        else:
            counters.count_block(element)
            outcome, size = self._plan.export_block(element, self._max_line_bytes), len(element.data)
        counters.count_outcome(outcome)
        rejected = len(outcome.rejects) + len(outcome.unrouted)
        # Before its payloads go on, so that the launcher never sees more delivered than read. A stop is obeyed only
        # after that.
        progress.tell(read_bytes=size, events=outcome.read, rejected=rejected)
        return outcome


@beam.typehints.with_input_types(Block | Event)
@beam.typehints.with_output_types(Reject)
class _ExportFn(_PlanFn):
    """Emits the payloads, tagged for the delivery to their exporter."""

    def __init__(self, plan: ExportPlan, tags: Mapping[str, str], max_line_bytes: int) -> None:
        super().__init__(plan, max_line_bytes)
        self._tags = dict(tags)

    def process(self, element: Any) -> Iterable[Any]:
        outcome = self._outcome(element)
        yield from outcome.rejects
        yield from outcome.unrouted
        for exporter, batch in outcome.batches.items():
            yield beam.pvalue.TaggedOutput(self._tags[exporter], batch)
        progress.obey()


@beam.typehints.with_input_types(Block | Event)
@beam.typehints.with_output_types(Reject)
class _QueueFn(_PlanFn):
    """Puts the payloads into the queues of their exporters; the bundle ends when all are on the disk."""

    def __init__(self, plan: ExportPlan, max_line_bytes: int, queues: str) -> None:
        super().__init__(plan, max_line_bytes)
        self._queues = queues
        self._writer: QueueWriter | None = None

    def start_bundle(self) -> None:
        if self._writer is None:
            # Not in __init__: it has open files, and a DoFn is pickled.
            self._writer = QueueWriter(self._queues, self._plan.exporters)
        self._writer.begin()

    def process(self, element: Any) -> Iterable[Any]:
        outcome = self._outcome(element)
        yield from outcome.rejects
        yield from outcome.unrouted
        for exporter, batch in outcome.batches.items():
            self._wait_for_room(exporter)
            self._open_writer().add(exporter, batch)
        progress.obey()

    def finish_bundle(self) -> None:
        progress.advance(waiting=self._open_writer().commit())

    def _wait_for_room(self, exporter: str) -> None:
        """Waits while the queue is full, so that nothing more is read.

        A stream that drains does not wait: what it has read must get into the queue before it ends.
        """
        while self._open_writer().is_full(exporter) and not progress.is_draining():
            # A stop must not have to wait for the target whose queue is full.
            progress.obey()
            time.sleep(_LOOK_SECS)

    def _open_writer(self) -> QueueWriter:
        if self._writer is None:
            raise RuntimeError("payloads before a bundle")
        return self._writer
