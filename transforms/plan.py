"""What an export does with events, without Beam: decide by the metrics, write in the formats, keep count.

An `ExportPlan` is made once from a configuration and travels to the workers; filters and formatters are compiled where
it arrives. Metrics are evaluated in the order of the configuration, and an event that several of them match is written
once for each, as Dovecot does it. Metrics without an exporter only count in Dovecot's own statistics; here they decide
no more than whether unnamed events are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.config import Config, Exporter, Metric
from dovebeam.transforms.decoding import decode_block
from dovebeam.transforms.event import Event
from dovebeam.transforms.filters import Dispatcher, accepts_unnamed
from dovebeam.transforms.formats import LOG_MAX_STRING_BYTES, Formatter, make_formatter
from dovebeam.transforms.reject import Reject
from dovebeam.transforms.sources import Block

__all__ = ["ExportPlan", "Outcome", "PayloadBatch", "TimeRange", "make_plan", "metric_formatter"]


class TimeRange(NamedTuple):
    """Event times from `start` up to, but not including, `end`, microseconds since 1970; None for no limit."""

    start: int | None = None
    end: int | None = None

    def holds(self, event: Event) -> bool:
        """Whether the event's end time, or else its start time, is in the range; an event without times is not."""
        time = event.end_time
        if time is None:
            time = event.start_time
        if time is None:
            return False
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


@dataclass(slots=True)
class PayloadBatch:
    """Payloads for one exporter, with where each came from.

    Attributes:
        payloads: formatted events, without a line's end.
        metrics: the name of the metric's block of each.
        offsets: the byte offset of the line of each in `source_uri`, None where it is unknown.
        source_uri: the file that all were read from, empty if unknown.
    """

    payloads: list[bytes] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    offsets: list[int | None] = field(default_factory=list)
    source_uri: str = ""

    def __len__(self) -> int:
        return len(self.payloads)


@dataclass(slots=True)
class Outcome:
    """What became of some events.

    Attributes:
        batches: payloads by exporter, only those that have any.
        rejects: what is no event.
        read: how many lines, records or events there were.
        matched_by_metric: how many events each metric matched.
        matched: how many events some metric matched.
        unmatched: how many none matched.
        out_of_range: how many were not looked at because of their time.
    """

    batches: dict[str, PayloadBatch]
    matched_by_metric: dict[str, int]
    rejects: Sequence[Reject] = ()
    read: int = 0
    matched: int = 0
    unmatched: int = 0
    out_of_range: int = 0


class _Step(NamedTuple):
    metric: str
    exporter: str
    formatter: Formatter


_Sink = tuple[Callable[[Event], bytes], Callable[[bytes], None], Callable[[str], None], Callable[[int], None]]


class ExportPlan:
    """The metrics that export, their formatters, and the time range that is wanted.

    Attributes:
        exporters: names of the exporters that some metric uses, in the order of the configuration.
        metrics: block names of the metrics that export, in the order in which they are evaluated.
    """

    def __init__(self, steps: Sequence[_Step], dispatcher: Dispatcher, time_range: TimeRange) -> None:
        self._steps: Final = tuple(steps)
        self._dispatcher: Final = dispatcher
        self._time_range: Final = time_range
        self.exporters: Final = tuple(dict.fromkeys(step.exporter for step in steps))
        self.metrics: Final = tuple(step.metric for step in steps)
        self._names: Final = None if time_range != TimeRange() else _wanted_names(dispatcher)

    def __reduce__(self) -> tuple[object, ...]:
        return ExportPlan, (self._steps, self._dispatcher, self._time_range)

    def export_block(self, block: Block, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> Outcome:
        """Decodes, matches and formats the events of a block.

        Where all metrics name their events, JSON lines of other events are not decoded further than their name.
        """
        found = decode_block(block, self._names, max_line_bytes)
        outcome, places = self._export(found.decoded.events)
        outcome.read = found.read
        outcome.unmatched += found.passed_over
        outcome.rejects = found.rejects
        if outcome.batches:
            offsets = found.decoded.offsets()
            for exporter, batch in outcome.batches.items():
                batch.source_uri = block.uri
                batch.offsets = [block.offset + offsets[index] for index in places[exporter]]
        return outcome

    def export_events(self, events: Sequence[Event]) -> Outcome:
        """Matches and formats events of unknown origin."""
        outcome, _ = self._export(events)
        outcome.read = outcome.matched + outcome.unmatched + outcome.out_of_range
        for batch in outcome.batches.values():
            batch.offsets = [None] * len(batch)
        return outcome

    def _export(self, events: Sequence[Event]) -> tuple[Outcome, dict[str, list[int]]]:
        """The outcome, and for each exporter the indexes of the events of its payloads.

        This loop sees every event of an export: what can be done once for a block is done outside of it.
        """
        outcome = Outcome({}, {})
        indexed: Iterable[tuple[int, Event]] = enumerate(events)
        if self._time_range != TimeRange():
            indexed = [(index, event) for index, event in indexed if self._time_range.holds(event)]
            outcome.out_of_range = len(events) - len(indexed)
        candidates = self._dispatcher.candidates
        sinks: dict[int, _Sink] = {}
        places: dict[str, list[int]] = {}
        for index, event in indexed:
            matched = False
            for hit, matches in candidates[event.raw_name]:
                if matches(event):
                    matched = True
                    sink = sinks.get(hit)
                    if sink is None:
                        sink = sinks[hit] = self._sink(hit, outcome, places)
                    write, add_payload, add_metric, add_place = sink
                    add_payload(write(event))
                    add_metric(self._steps[hit].metric)
                    add_place(index)
            if matched:
                outcome.matched += 1
        outcome.unmatched = len(events) - outcome.out_of_range - outcome.matched
        for batch in outcome.batches.values():
            outcome.matched_by_metric.update(Counter(batch.metrics))
        return outcome, places

    def _sink(self, hit: int, outcome: Outcome, places: dict[str, list[int]]) -> _Sink:
        """Where the payloads of a metric go in this outcome."""
        step = self._steps[hit]
        batch = outcome.batches.setdefault(step.exporter, PayloadBatch())
        of_exporter = places.setdefault(step.exporter, [])
        return step.formatter.format, batch.payloads.append, batch.metrics.append, of_exporter.append


def make_plan(config: Config, time_range: TimeRange = TimeRange()) -> ExportPlan:  # noqa: B008  an immutable value
    """The plan of a configuration."""
    exporting = [metric for metric in config.metrics if metric.exporter]
    steps = [
        _Step(metric.block_name, metric.exporter, metric_formatter(metric, config.exporters[metric.exporter]))
        for metric in exporting
    ]
    unnamed = accepts_unnamed([metric.filter for metric in config.metrics])
    return ExportPlan(steps, Dispatcher([metric.filter for metric in exporting], unnamed), time_range)


def metric_formatter(metric: Metric, exporter: Exporter) -> Formatter:
    """The formatter of a metric's events for its exporter; the log driver cuts long strings."""
    return make_formatter(
        exporter.format,
        time_format=exporter.time_format,
        include=metric.exporter_include,
        fields=metric.fields,
        max_string_bytes=LOG_MAX_STRING_BYTES if exporter.driver == "log" else None,
    )


def _wanted_names(dispatcher: Dispatcher) -> frozenset[str] | None:
    """The names outside of which no filter matches, None if some filter does not depend on exact names."""
    names: set[str] = set()
    for filter_ in dispatcher.filters:
        if filter_.event_names is None:
            return None
        names |= filter_.event_names
    return frozenset(names)
