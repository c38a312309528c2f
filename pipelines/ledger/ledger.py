"""The ledger: the account of all events of a job, made of its counters, with the equations that it must satisfy.

read = what the manifests of an archive count that is replayed
read = matched + unmatched + out of range + rejected when decoded + sent again + held back
formatted for an exporter (+ what was in its queue before) = delivered by it + rejected by it (+ waiting in its queue)
formatted for an exporter = what the metrics that name it matched, added up, + rejects that were sent to it again
rejects that arrived at their output = all that were rejected
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dovebeam.transforms.config import Config

__all__ = ["ALL_EVENTS", "ExporterAccount", "Ledger", "MetricAccount", "make_archive_ledger", "make_ledger"]

ALL_EVENTS: Final = "(all events)"
"""Name of the one metric in the ledger of an archive."""

_REASON_PREFIX: Final = "reject_reason/"
_DAMAGED_PREFIX: Final = "damaged/"


@dataclass(frozen=True, slots=True)
class MetricAccount:
    """Account of one metric: the number of events that it matched."""

    name: str
    exporter: str
    matched: int


@dataclass(frozen=True, slots=True)
class ExporterAccount:
    """Account of one exporter's payloads.

    Attributes:
        name: name of the exporter.
        driver: the configured driver, also in a preview.
        target: target of the payloads, without secrets.
        formatted: payloads that were formatted for it.
        delivered: payloads that arrived.
        delivered_bytes: bytes of those, without framing.
        rejected: payloads that did not arrive.
        resent: rejects of an earlier job that were re-sent to it without being matched again.
        waiting: in a stream: payloads in its queue; not known without a queue.
        queued_before: in a stream: payloads that were in its queue already, from an earlier start, or from a bundle
            that failed after it had filled the queue and was read again.
    """

    name: str
    driver: str
    target: str
    formatted: int
    delivered: int
    delivered_bytes: int
    rejected: int
    resent: int = 0
    waiting: int | None = None
    queued_before: int = 0

    def queue_as_dict(self) -> dict[str, int]:
        """Members for JSON about its queue; empty without one."""
        return {} if self.waiting is None else {"waiting": self.waiting, "queued_before": self.queued_before}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of a job.

    Attributes:
        read: events read.
        matched: events that at least one exporting metric matched.
        unmatched: events that no exporting metric matched.
        out_of_range: events outside of the requested time range.
        undecodable: lines and records that could not be decoded.
        metrics: exporting metrics, in the order of the configuration.
        exporters: their exporters, in the order of first use.
        reasons: reasons of rejects, with the number of rejects of each.
        accounted_rejects: rejects that arrived at their output.
        held_back: rejects of an earlier job that were not re-sent.
        counted: events in a replayed archive by its manifests; None for other input.
        damaged: files of the input that could not be read completely, sorted.
        complete: whether the job came to its end. Otherwise the numbers are lower bounds.
        nul_bytes: NUL bytes that were skipped before lines.
        left_out: exporters and metrics that were left out because they use something of a later Dovecot.
    """

    read: int
    matched: int
    unmatched: int
    out_of_range: int
    undecodable: int
    metrics: tuple[MetricAccount, ...]
    exporters: tuple[ExporterAccount, ...]
    reasons: Mapping[str, int]
    accounted_rejects: int
    held_back: int = 0
    damaged: tuple[str, ...] = ()
    counted: int | None = None
    complete: bool = True
    nul_bytes: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def delivered(self) -> int:
        """Payloads that arrived, of all exporters."""
        return sum(exporter.delivered for exporter in self.exporters)

    @property
    def rejected(self) -> int:
        """Lines and payloads that were rejected."""
        return self.undecodable + self.held_back + sum(exporter.rejected for exporter in self.exporters)

    @property
    def resent(self) -> int:
        """Rejects of an earlier job that were re-sent to their exporters without being matched again."""
        return sum(exporter.resent for exporter in self.exporters)

    def imbalances(self) -> tuple[str, ...]:
        """The equations that do not hold, with their numbers; empty if every event is accounted for."""
        # What an unfinished job had in hand is in no number, so its equations need not hold.
        return tuple(self._imbalances()) if self.complete else ()

    def _imbalances(self) -> Iterator[str]:
        known = self.matched + self.unmatched + self.out_of_range + self.undecodable + self.resent + self.held_back
        again = f" + sent again {self.resent} + held back {self.held_back}" if self.resent or self.held_back else ""
        if self.read != known:
            yield (
                f"read {self.read}, but matched {self.matched} + unmatched {self.unmatched} + out of range "
                f"{self.out_of_range} + rejected {self.undecodable}{again} = {known}"
            )
        if self.counted not in (None, self.read):
            yield f"read {self.read}, but the manifests of the archive count {self.counted}"
        # Per exporter, because too many at one could hide too few at another.
        for exporter in self.exporters:
            known = exporter.delivered + exporter.rejected + (exporter.waiting or 0)
            if exporter.formatted + exporter.queued_before != known:
                before = f" + {exporter.queued_before} before" if exporter.queued_before else ""
                waiting = f" + waiting {exporter.waiting}" if exporter.waiting else ""
                yield (
                    f"exporter {exporter.name}: formatted {exporter.formatted}{before}, but delivered "
                    f"{exporter.delivered} + rejected {exporter.rejected}{waiting} = {known}"
                )
            matched = sum(metric.matched for metric in self.metrics if metric.exporter == exporter.name)
            if exporter.formatted != matched + exporter.resent:
                again = f" and {exporter.resent} were sent again" if exporter.resent else ""
                yield (
                    f"exporter {exporter.name}: formatted {exporter.formatted}, but its metrics matched {matched}"
                    f"{again}"
                )
        # Counted twice on purpose: by the step that rejects, and by the sink of rejects.
        if self.rejected != self.accounted_rejects:
            yield f"rejected {self.rejected}, but {self.accounted_rejects} arrived where rejects go"

    def as_dict(self) -> dict[str, Any]:
        """Members of the JSON file of a ledger."""
        return {
            "read": self.read,
            "matched": self.matched,
            "unmatched": self.unmatched,
            "out_of_range": self.out_of_range,
            "resent": self.resent,
            "rejected": {
                "total": self.rejected,
                "decode": self.undecodable,
                "deliver": self.rejected - self.undecodable - self.held_back,
                "held_back": self.held_back,
                "reasons": dict(self.reasons),
            },
            "delivered": self.delivered,
            "metrics": [
                {"name": metric.name, "exporter": metric.exporter, "matched": metric.matched} for metric in self.metrics
            ],
            "exporters": [
                {
                    "name": exporter.name,
                    "driver": exporter.driver,
                    "target": exporter.target,
                    "formatted": exporter.formatted,
                    "delivered": exporter.delivered,
                    "delivered_bytes": exporter.delivered_bytes,
                    "rejected": exporter.rejected,
                    "resent": exporter.resent,
                    **exporter.queue_as_dict(),
                }
                for exporter in self.exporters
            ],
            "damaged": list(self.damaged),
            "complete": self.complete,
            "nul_bytes": self.nul_bytes,
            "left_out": list(self.left_out),
            "imbalances": list(self.imbalances()),
        }


def make_ledger(
    counters: Iterable[tuple[str, int]], config: Config, targets: Mapping[str, str], counted: int | None = None
) -> Ledger:
    """The ledger of a job that exports.

    Args:
        counters: names and values of the counters in dovebeam's namespace, one for each step that has it.
        config: the job's configuration.
        targets: that the exporters delivered to, without secrets.
        counted: see `Ledger`.
    """
    # A metric that only counts in Dovecot has no account; one that is named twice has one.
    named = dict.fromkeys((metric.block_name, metric.exporter) for metric in config.metrics if metric.exporter)
    drivers = {name: exporter.driver for name, exporter in config.exporters.items()}
    left_out = tuple(f"{each.kind} {each.name}" for each in config.left_out)
    ledger = _ledger(_sums(counters), list(named), drivers, targets)
    return replace(ledger, counted=counted, left_out=left_out)


def make_archive_ledger(counters: Iterable[tuple[str, int]], name: str, target: str) -> Ledger:
    """The ledger of a job that archives: one metric matches every event, and one exporter takes all.

    Args:
        counters: see `make_ledger`.
        name: of the exporter in the counters.
        target: the archive.
    """
    sums = _sums(counters)
    # An archive does not count matches: what it formats is what matched.
    sums["matched"] = sums[f"matched/{ALL_EVENTS}"] = sums.get(f"formatted/{name}", 0)
    return _ledger(sums, [(ALL_EVENTS, name)], {name: "avro"}, {name: target})


def _sums(counters: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, value in counters:
        sums[name] = sums.get(name, 0) + value
    return sums


def _named(sums: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Counters with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): n for name, n in sums.items() if name.startswith(prefix)}


def _ledger(
    sums: Mapping[str, int],
    named: Sequence[tuple[str, str]],
    drivers: Mapping[str, str],
    targets: Mapping[str, str],
) -> Ledger:
    """The ledger of summed counters; `named` are pairs of a metric and its exporter."""
    count = sums.get
    metrics = tuple(MetricAccount(name, exporter, count(f"matched/{name}", 0)) for name, exporter in named)
    exporters = tuple(
        ExporterAccount(
            name,
            drivers[name],
            targets.get(name, ""),
            formatted=count(f"formatted/{name}", 0),
            delivered=count(f"delivered/{name}", 0),
            delivered_bytes=count(f"delivered_bytes/{name}", 0),
            rejected=count(f"rejected/{name}", 0),
            resent=count(f"resent/{name}", 0),
            waiting=sums.get(f"waiting/{name}"),
            queued_before=_queued_before(sums, name),
        )
        for name in dict.fromkeys(metric.exporter for metric in metrics)
    )
    reasons = _named(sums, _REASON_PREFIX)
    return Ledger(
        read=count("read", 0),
        matched=count("matched", 0),
        unmatched=count("unmatched", 0),
        out_of_range=count("out_of_range", 0),
        undecodable=count("undecodable", 0),
        metrics=metrics,
        exporters=exporters,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        accounted_rejects=count("rejects_accounted", 0),
        held_back=count("held_back", 0),
        damaged=tuple(sorted(_named(sums, _DAMAGED_PREFIX))),
        nul_bytes=count("nul_bytes", 0),
    )


def _queued_before(sums: Mapping[str, int], name: str) -> int:
    """Payloads in a queue at the start, and of bundles that failed after they had queued them; 0 without a queue."""
    before = sums.get(f"queued_before/{name}")
    if before is None:
        return 0
    # Payloads of a failed bundle are in the queue, but not in `formatted`; what is known too much was theirs.
    known = sum(sums.get(f"{what}/{name}", 0) for what in ("delivered", "rejected", "waiting"))
    return max(before, known - sums.get(f"formatted/{name}", 0))
