"""The plan of an export, without Beam: match events with the metrics, format them, count them.

An `ExportPlan` is made once from a configuration and travels to the workers; filters and formatters are compiled where
it arrives. Metrics are evaluated in the order of the configuration, and an event that several of them match is written
once for each, as Dovecot does it. Metrics without an exporter only count in Dovecot's own statistics; here they only
decide whether events without a name are matched at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES, encode_json, encode_tab
from dovebeam.transforms.codecs.json_glimpse import Glimpser, with_line_feeds
from dovebeam.transforms.codecs.lines import line_starts
from dovebeam.transforms.config import Config, Exporter, Metric
from dovebeam.transforms.drivers import Router, RoutingError
from dovebeam.transforms.events.event import Event, TimeRange
from dovebeam.transforms.events.reject import Reject, make_reject, with_attributes
from dovebeam.transforms.filters import Dispatcher, accepts_unnamed
from dovebeam.transforms.formats import LOG_MAX_STRING_BYTES, Formatter, make_formatter
from dovebeam.transforms.plan.decoding import BlockEvents, Outcome, PayloadBatch, decode_block
from dovebeam.transforms.sources import Block, MessageOrigin, message_at

__all__ = ["ExportPlan", "make_plan", "metric_formatter", "placed"]


# Above this share of matching lines it is faster to decode all of them at once.
_GLIMPSE_UP_TO: Final = 0.5
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}".encode()
# Filter keys that are not names of fields.
_SPECIAL_KEYS: Final = frozenset({"event", "category", "source_location"})


class _Step(NamedTuple):
    metric: str
    exporter: str
    formatter: Formatter
    router: Router | None = None


# Two lists of numbers instead of one of pairs: no object is made for a match.
class _Hits(NamedTuple):
    """Indexes of events and of the steps whose metrics they match, in pairs."""

    events: list[int]
    steps: list[int]


# Bound methods, looked up once for each outcome instead of once for each payload.
class _Sink(NamedTuple):
    """Lists of one batch that a step's payloads are added to."""

    write: Callable[[Event], bytes]
    step: _Step
    metric: str
    add_payload: Callable[[bytes], None]
    add_metric: Callable[[str], None]
    add_offset: Callable[[int | None], None]
    add_path: Callable[[str], None]


class ExportPlan:
    """Exporting metrics with their filters, formatters and routers, and the time range of the run.

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
        self._glimpser: Final = _glimpser(dispatcher) if time_range == TimeRange() else None
        self._glimpsing = self._glimpser is not None

    def __reduce__(self) -> tuple[object, ...]:
        # The glimpser holds a decoder of msgspec, which does not pickle; the worker makes its own.
        return ExportPlan, (self._steps, self._dispatcher, self._time_range)

    def export_block(self, block: Block, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> Outcome:
        """Decodes, matches and formats the events of a block.

        JSON lines are decoded whole only if a metric matches them, as long as that is the smaller part of them.
        """
        outcome = self._export_glimpsed(block, max_line_bytes) if self._glimpsing else None
        if outcome is None:
            outcome = self._export_whole(block, max_line_bytes)
        for batch in outcome.batches.values():
            batch.source_uri, batch.messages = block.uri, block.messages
        if outcome.unrouted:
            outcome.unrouted = [placed(each, block.uri, block.messages) for each in outcome.unrouted]
        # Neighbouring blocks are alike, so this one's share of matches chooses the faster way for the next one. The
        # result is the same either way.
        if self._glimpser is not None and outcome.read:
            self._glimpsing = outcome.matched < _GLIMPSE_UP_TO * outcome.read
        return outcome

    def export_events(self, events: Sequence[Event]) -> Outcome:
        """Matches and formats events of unknown origin."""
        outcome = Outcome({}, {}, read=len(events))
        self._write(self._match(events, outcome), events, [None] * len(events), outcome)
        return outcome

    def _export_whole(self, block: Block, max_line_bytes: int) -> Outcome:
        """Decodes every line, then matches."""
        found = decode_block(block, max_line_bytes)
        events = found.decoded.events
        rejects = self._without_unmatched(found, max_line_bytes)
        outcome = Outcome({}, {}, rejects=rejects, read=found.read)
        hits = self._match(events, outcome)
        outcome.unmatched += len(found.rejects) - len(rejects)
        # Finding the places costs a pass over the block, which blocks without a match are spared.
        offsets = found.places() if hits.events else []
        self._write(hits, events, offsets, outcome)
        return outcome

    def _without_unmatched(self, found: BlockEvents, max_line_bytes: int) -> Sequence[Reject]:
        """Rejects without the lines that a glimpse would have left unmatched.

        The result of a line must not depend on its neighbours: a line that passes as a glimpse and that no metric
        matches is unmatched, even if it was decoded whole and has, say, a field twice.
        """
        glimpser, bad_lines = self._glimpser, found.decoded.bad_lines
        if glimpser is None or len(bad_lines) != len(found.rejects):
            return found.rejects

        def is_unmatched(line: bytes) -> bool:
            glimpses = glimpser.glimpse(line) if len(line) <= max_line_bytes else None
            return glimpses is not None and not self._dispatcher.matching(glimpses.events[0])

        return [reject for bad, reject in zip(bad_lines, found.rejects, strict=True) if not is_unmatched(bad.line)]

    def _export_glimpsed(self, block: Block, max_line_bytes: int) -> Outcome | None:
        """Matches glimpses, and decodes only the lines that match; None if all lines must be decoded."""
        # A block larger than the limit may hold a line that is, which a glimpse would not notice.
        if self._glimpser is None or block.format != "json" or len(block.data) > max_line_bytes:
            return None
        if block.overlong_bytes or block.damage:
            return None
        glimpses = self._glimpser.glimpse(with_line_feeds(block.data))
        if glimpses is None or (block.messages and not glimpses.events):  # blank messages are rejects
            return None
        outcome = Outcome({}, {}, read=len(glimpses.events))
        hits = self._match(glimpses.events, outcome)
        kept = list(dict.fromkeys(hits.events))
        part = b"\n".join(glimpses.lines(kept))
        found = decode_block(msgspec.structs.replace(block, data=part), max_line_bytes)
        starts = line_starts(block.data, glimpses.borders) if kept else []
        # The offset of a reject in the joined lines is not its offset in the block.
        if found.rejects:
            return None
        outcome_events = dict(zip(kept, found.decoded.events, strict=True))
        places = block.places(starts[index] for index in kept)
        self._write(hits, outcome_events, dict(zip(kept, places, strict=True)), outcome)
        return outcome

    def _match(self, events: Sequence[Event], outcome: Outcome) -> _Hits:
        """Matches of events and metrics, in the order of events, then of metrics."""
        indexed: Iterable[tuple[int, Event]] = enumerate(events)
        if self._time_range != TimeRange():
            indexed = [(index, event) for index, event in indexed if self._time_range.holds(event)]
            outcome.out_of_range = len(events) - len(indexed)
        hits = _Hits([], [])
        add_event, add_step = hits.events.append, hits.steps.append
        # This loop sees every event of an export: nothing that can be done outside of it belongs inside.
        candidates = self._dispatcher.candidates
        for index, event in indexed:
            for step, matches in candidates[event.raw_name]:
                if matches(event):
                    add_event(index)
                    add_step(step)
        outcome.matched = len(set(hits.events))
        outcome.unmatched = len(events) - outcome.out_of_range - outcome.matched
        return hits

    def _write(
        self,
        hits: _Hits,
        events: Sequence[Event] | Mapping[int, Event],
        offsets: Sequence[int | None] | Mapping[int, int],
        outcome: Outcome,
    ) -> None:
        """Formats each hit into the batch of its exporter."""
        sinks: dict[int, _Sink] = {}
        for index, hit in zip(hits.events, hits.steps, strict=True):
            sink = sinks.get(hit)
            if sink is None:
                sink = sinks[hit] = self._sink(hit, outcome)
            write, step, metric, add_payload, add_metric, add_offset, add_path = sink
            if step.router is not None:
                path = _path_or_reject(step, step.router, events[index], offsets[index], outcome)
                if path is None:
                    continue
                add_path(path)
            add_payload(write(events[index]))
            add_metric(metric)
            add_offset(offsets[index])
        # Unrouted events matched, too, although they are in no batch.
        matched: Counter[str] = Counter(reject.metric for reject in outcome.unrouted)
        for batch in outcome.batches.values():
            matched.update(batch.metrics)
        outcome.matched_by_metric.update(matched)

    def _sink(self, hit: int, outcome: Outcome) -> _Sink:
        step = self._steps[hit]
        batch = outcome.batches.setdefault(step.exporter, PayloadBatch())
        append = batch.payloads.append, batch.metrics.append, batch.offsets.append, batch.paths.append
        return _Sink(step.formatter.format, step, step.metric, *append)


def make_plan(
    config: Config,
    time_range: TimeRange = TimeRange(),  # noqa: B008  an immutable value
    routers: Mapping[str, Router] = MappingProxyType({}),
) -> ExportPlan:
    """The export plan of a configuration.

    Args:
        config: with the metrics and exporters.
        time_range: restricts the export to these event times.
        routers: by name of exporter, for those whose driver has one.
    """
    exporting = [metric for metric in config.metrics if metric.exporter]
    steps = [
        _Step(
            metric.block_name,
            metric.exporter,
            metric_formatter(metric, config.exporters[metric.exporter]),
            routers.get(metric.exporter),
        )
        for metric in exporting
    ]
    # Of all metrics, as in Dovecot, where also one without an exporter makes unnamed events pass.
    unnamed = accepts_unnamed([metric.filter for metric in config.metrics])
    return ExportPlan(steps, Dispatcher([metric.filter for metric in exporting], unnamed), time_range)


def _path_or_reject(step: _Step, router: Router, event: Event, offset: int | None, outcome: Outcome) -> str | None:
    """Path of the event's file; None after its reject was added to the outcome."""
    try:
        return router.route(event)
    except RoutingError as error:
        # The whole event, since what the metric selects of it may lack the very field that the path is made of.
        line = _whole_line(event)
        reject = make_reject(
            "route", line, str(error), metric=step.metric, exporter=step.exporter, source_offset=offset
        )
        outcome.unrouted.append(reject)
        return None


def placed(reject: Reject, source_uri: str, messages: Sequence[MessageOrigin]) -> Reject:
    """A reject with its origin: the source, and the attributes of the message that its event came in, if any."""
    reject = msgspec.structs.replace(reject, source_uri=source_uri)
    if not messages or reject.source_offset is None:
        return reject
    message = message_at(messages, reject.source_offset)
    return with_attributes(reject, message.described(source_uri)) if message is not None else reject


def _whole_line(event: Event) -> bytes:
    """The event with all of its fields as JSON, or as tab-text if JSON would replace bytes of it."""
    line = encode_json(event)
    return encode_tab(event) if _REPLACED in line else line


def metric_formatter(metric: Metric, exporter: Exporter) -> Formatter:
    """Formatter of a metric's events for its exporter; for the log driver it cuts long strings."""
    return make_formatter(
        exporter.format,
        time_format=exporter.time_format,
        include=metric.exporter_include,
        fields=metric.fields,
        max_string_bytes=LOG_MAX_STRING_BYTES if exporter.driver == "log" else None,
    )


def _glimpser(dispatcher: Dispatcher) -> Glimpser | None:
    """Decoder of only those fields that the filters compare; None if msgspec cannot decode one of their names."""
    keys = {comparison.key for filter_ in dispatcher.filters for comparison in filter_.comparisons}
    try:
        for key in keys:
            key.encode()
    except UnicodeEncodeError:  # no field of a JSON line has such a name, but msgspec would take it for an empty one
        return None
    return Glimpser(keys - _SPECIAL_KEYS)
