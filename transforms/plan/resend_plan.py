"""The plan of re-sending rejects, without Beam.

A reject record names the stage at which its event failed, and the event goes on from there:

- "deliver": the payload was formatted and goes to its exporter as it is, with its metric and origin, so that the target
  sees the same bytes and the same key.
- "route": the exporter had no path for the event, which goes through that metric and exporter again.
- "decode": the line was not an event; if it can be decoded now, the event goes through all metrics.

An event that fails again becomes a reject of the same kind, never a reject of a reject: payload, origin and attributes
stay, attempts are counted up. A record that may not or cannot be sent is held back: it goes to the rejects unchanged,
with the reason in `held_back` and behind its error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES, decode_json, decode_tab
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Router, RoutingError
from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import (
    Reject,
    decode_reject,
    is_truncated,
    reject_from_json,
    rejected_again,
    without_sending,
)
from dovebeam.transforms.formats import Formatter
from dovebeam.transforms.plan.decoding import PayloadBatch, lost_lines
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan, metric_formatter
from dovebeam.transforms.sources import Block

__all__ = ["DEFAULT_MAX_ATTEMPTS", "ResendPlan", "Resent", "make_resend_plan", "max_record_bytes"]

DEFAULT_MAX_ATTEMPTS: Final = 10
"""Number of attempts for each event, over all runs."""

_NONE: Final[Mapping[str, Router]] = MappingProxyType({})


@dataclass(slots=True)
class Resent:
    """Result of processing some reject records; every one of them is counted in it.

    Attributes:
        batches: payloads with their exporters, in the order of the records.
        rejects: lines that are not records, and records whose line still is not an event.
        held: records that were not sent.
        unrouted: rejects of events for which the exporter's router has no path.
        read: number of records and other lines.
        matched: number of decoded events that at least one metric matched.
        unmatched: number of decoded events that no metric matched.
        matched_by_metric: number of decoded events that each metric matched.
        resent: number of records that were not matched again, by exporter.
    """

    batches: list[tuple[str, PayloadBatch]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    held: list[Reject] = field(default_factory=list)
    unrouted: list[Reject] = field(default_factory=list)
    read: int = 0
    matched: int = 0
    unmatched: int = 0
    matched_by_metric: Counter[str] = field(default_factory=Counter)
    resent: Counter[str] = field(default_factory=Counter)

    def add_payload(self, exporter: str, metric: str, payload: bytes, path: str | None, record: Reject) -> None:
        """Adds a payload to the last batch of its exporter, or to a new one if it came from another file."""
        # Only the last one, so that an exporter gets its payloads in the order of the records.
        batch = next((batch for name, batch in reversed(self.batches) if name == exporter), None)
        if batch is None or batch.source_uri != record.source_uri:
            batch = PayloadBatch(source_uri=record.source_uri)
            self.batches.append((exporter, batch))
        batch.payloads.append(payload)
        batch.metrics.append(metric)
        batch.offsets.append(record.source_offset)
        batch.records.append(record)
        if path is not None:
            batch.paths.append(path)


class _Way(NamedTuple):
    """Formatter and router of a metric and its exporter."""

    formatter: Formatter
    router: Router | None


class ResendPlan:
    """Decides for each reject record whether it is sent, and as which payload; pickles.

    Args:
        plan: for lines that are decoded again.
        ways: by metric and exporter.
        max_attempts: records with so many attempts are held back.
        max_line_bytes: longer lines are rejected.
    """

    def __init__(
        self, plan: ExportPlan, ways: Mapping[tuple[str, str], _Way], max_attempts: int, max_line_bytes: int
    ) -> None:
        self._plan: Final = plan
        self._ways: Final = dict(ways)
        self._max_attempts: Final = max_attempts
        self._max_line_bytes: Final = max_line_bytes
        self._routers: Final = {exporter: way.router for (_, exporter), way in ways.items()}

    @property
    def exporters(self) -> tuple[str, ...]:
        """The exporters that some metric uses, in the order of the configuration."""
        return self._plan.exporters

    def resend_block(self, block: Block) -> Resent:
        """Processes the records of a block."""
        resent = Resent()
        # Lines that cannot be read are rejects themselves: they hold events, too.
        if block.damage:
            resent.rejects += lost_lines(block)
            resent.read += len(resent.rejects)
            return resent
        for line, offset in _lines(block):
            resent.read += 1
            try:
                if block.overlong_bytes:
                    # `is_truncated` recognises rejects of version 0.1.0 by this very text.
                    reason = f"not a reject record, but a line of {block.overlong_bytes} bytes; this is its head"
                    raise DecodeError(reason)
                record = reject_from_json(line)
            except DecodeError as error:
                truncated = bool(block.overlong_bytes)
                resent.rejects.append(decode_reject(line, error, block.uri, offset, truncated=truncated))
            else:
                self._resend(record, resent)
        return resent

    def _resend(self, record: Reject, resent: Resent) -> None:
        why_not = self._why_not(record)
        if why_not:
            resent.held.append(without_sending(record, why_not))
        elif record.stage == "deliver":
            resent.resent[record.exporter] += 1
            resent.add_payload(record.exporter, record.metric, record.payload_bytes, None, record)
        elif record.stage == "route":
            self._route(record, resent)
        else:
            self._decode(record, resent)

    def _why_not(self, record: Reject) -> str:
        """Reason not to send a record, with its cure; empty if it is sent."""
        if record.attempts >= self._max_attempts:
            return f"it was tried {record.attempts} times (--max_attempts allows more)"
        # The head of a line may decode, to an event that was never written.
        if is_truncated(record):
            return "the rest of the line is missing (export its file again: whole, or with a larger --max_line_bytes)"
        if record.stage == "decode":
            return ""
        if record.exporter not in self._routers:
            return f"no metric names an exporter {record.exporter!r} (add it, or correct the name)"
        # The payload has only the fields that the metric selects, and the path may be made of others.
        if record.stage == "deliver" and self._routers[record.exporter] is not None:
            return (
                f"a formatted event does not say which file of {record.exporter!r} it belongs "
                "into (export the events themselves, or give the exporter a file_path without file_path_template "
                "and file_rotate_interval)"
            )
        if record.stage == "route" and (record.metric, record.exporter) not in self._ways:
            return f"no metric {record.metric!r} names {record.exporter!r} (correct the name)"
        return ""

    def _route(self, record: Reject, resent: Resent) -> None:
        formatter, router = self._ways[record.metric, record.exporter]
        try:
            event = self._event(record)
            path = router.route(event) if router is not None else None
        except DecodeError as error:
            resent.rejects.append(rejected_again(record, str(error)))
            return
        except RoutingError as error:
            resent.unrouted.append(rejected_again(record, str(error)))
        else:
            resent.add_payload(record.exporter, record.metric, formatter.format(event), path, record)
        resent.resent[record.exporter] += 1

    def _decode(self, record: Reject, resent: Resent) -> None:
        try:
            event = self._event(record)
        except DecodeError as error:
            resent.rejects.append(rejected_again(record, str(error)))
            return
        # One event at a time: each payload needs the record that it came from.
        outcome = self._plan.export_events([event])
        resent.matched += outcome.matched
        resent.unmatched += outcome.unmatched
        resent.matched_by_metric.update(outcome.matched_by_metric)
        for exporter, batch in outcome.batches.items():
            paths: Iterable[str | None] = batch.paths or [None] * len(batch)
            for payload, metric, path in zip(batch.payloads, batch.metrics, paths, strict=True):
                resent.add_payload(exporter, metric, payload, path, record)
        resent.unrouted += [_with_origin(each, record) for each in outcome.unrouted]

    def _event(self, record: Reject) -> Event:
        # A payload may have its line's end, which is not part of the event.
        line = record.payload_bytes.removesuffix(b"\n").removesuffix(b"\r")
        if not line.strip() or b"\n" in line:
            raise DecodeError("the payload is not exactly one line, so it is not an event")
        decode = decode_json if line.lstrip().startswith(b"{") else decode_tab
        return decode(line, max_bytes=self._max_line_bytes)


def make_resend_plan(
    config: Config,
    routers: Mapping[str, Router] = _NONE,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
) -> ResendPlan:
    """The re-sending plan of a configuration.

    Args:
        config: its exporters get the records that name them.
        routers: by name of exporter, for those whose driver has one.
        max_attempts: number of attempts over all runs, at least 1.
        max_line_bytes: the longest line that can be an event.

    Raises:
        ValueError: for a number of attempts below 1.
    """
    if max_attempts < 1:
        raise ValueError(f"max_attempts is a number of attempts, at least 1; found {max_attempts}")
    ways = {
        (metric.block_name, metric.exporter): _Way(
            metric_formatter(metric, config.exporters[metric.exporter]), routers.get(metric.exporter)
        )
        for metric in config.metrics
        if metric.exporter
    }
    return ResendPlan(make_plan(config, routers=routers), ways, max_attempts, max_line_bytes)


def max_record_bytes(max_line_bytes: int) -> int:
    """Length limit for the record of a line of that length."""
    # A payload that is not UTF-8 is in base64, and a text may have every byte escaped (6 bytes for one); the rest of a
    # record, with its error and attributes, is small.
    return 8 * max_line_bytes + 64 * 1024


def _lines(block: Block) -> Iterator[tuple[bytes, int]]:
    """Lines that are not blank, without line ends, with their offsets in the file."""
    if block.overlong_bytes:
        yield block.data, block.offset
        return
    offset = block.offset
    for line in block.data.split(b"\n"):
        if line.strip():
            yield line.removesuffix(b"\r"), offset
        offset += len(line) + 1


def _with_origin(reject: Reject, record: Reject) -> Reject:
    """A new reject of a decoded event, with origin, attributes and attempts of the record that it came from."""
    return msgspec.structs.replace(
        reject,
        source_uri=record.source_uri,
        source_offset=record.source_offset,
        attributes=record.attributes,
        attempts=record.attempts + reject.attempts,
    )
