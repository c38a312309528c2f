"""The ledger: what became of every event of a job, from its counters, with the equations that prove it.

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
"""What stands for a metric in the ledger of an archive."""

_REASON_PREFIX: Final = "reject_reason/"
_DAMAGED_PREFIX: Final = "damaged/"


@dataclass(frozen=True, slots=True)
class MetricAccount:
    """How many events one metric matched."""

    name: str
    exporter: str
    matched: int


@dataclass(frozen=True, slots=True)
class ExporterAccount:
    """What became of the payloads of one exporter.

    Attributes:
        name: of the exporter.
        driver: the configured driver, also in a preview.
        target: where the payloads went, without secrets.
        formatted: payloads made for it.
        delivered: payloads that arrived.
        delivered_bytes: bytes of those, without framing.
        rejected: payloads that did not arrive.
        resent: rejects of an earlier job that went to it without being matched again.
        waiting: of a stream: payloads that are in its queue; None if it has none.
        queued_before: of a stream: payloads that were in its queue already, from an earlier start, or from a bundle
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
        """What is known of its queue, for JSON."""
        return {} if self.waiting is None else {"waiting": self.waiting, "queued_before": self.queued_before}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of a job.

    Attributes:
        read: events read.
        matched: events that at least one exporting metric matched.
        unmatched: events that none matched.
        out_of_range: events outside of the time range that was asked for.
        undecodable: lines and records that are no events.
        metrics: exporting metrics, in the order of the configuration.
        exporters: their exporters, in the order of first use.
        reasons: why something was rejected, with how often.
        accounted_rejects: rejects that arrived at their output.
        held_back: rejects of an earlier job that were not sent again.
        counted: how many events the manifests of a replayed archive count; None of other input.
        damaged: the files of the input that could not be read whole, sorted.
        complete: whether the job came to its end. Numbers of one that did not are those of what certainly happened.
        nul_bytes: zero bytes that were passed over before lines.
        left_out: exporters and metrics that were left out since they have something of a later Dovecot.
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
        """Payloads that arrived, over all exporters."""
        return sum(exporter.delivered for exporter in self.exporters)

    @property
    def rejected(self) -> int:
        """Lines and payloads that were rejected."""
        return self.undecodable + self.held_back + sum(exporter.rejected for exporter in self.exporters)

    @property
    def resent(self) -> int:
        """Rejects of an earlier job that went to their exporters without being matched again."""
        return sum(exporter.resent for exporter in self.exporters)

    def imbalances(self) -> tuple[str, ...]:
        """The equations that don't hold, with their numbers; none in a job that lost nothing.

        What an unfinished job had in hand is in no number, so there the equations say nothing.
        """
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
        if self.rejected != self.accounted_rejects:
            yield f"rejected {self.rejected}, but {self.accounted_rejects} arrived where rejects go"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
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
        targets: where each exporter delivered to, in words without secrets.
        counted: see `Ledger`.
    """
    named = dict.fromkeys((metric.block_name, metric.exporter) for metric in config.metrics if metric.exporter)
    drivers = {name: exporter.driver for name, exporter in config.exporters.items()}
    left_out = tuple(f"{each.kind} {each.name}" for each in config.left_out)
    ledger = _ledger(_sums(counters), list(named), drivers, targets)
    return replace(ledger, counted=counted, left_out=left_out)


def make_archive_ledger(counters: Iterable[tuple[str, int]], name: str, target: str) -> Ledger:
    """The ledger of a job that archives: every event matches, and there is one place for all.

    Args:
        counters: see `make_ledger`.
        name: what stands for an exporter in the counters.
        target: the archive.
    """
    sums = _sums(counters)
    sums["matched"] = sums[f"matched/{ALL_EVENTS}"] = sums.get(f"formatted/{name}", 0)
    return _ledger(sums, [(ALL_EVENTS, name)], {name: "avro"}, {name: target})


def _sums(counters: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, value in counters:
        sums[name] = sums.get(name, 0) + value
    return sums


def _named(sums: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The counters that have a name of their own behind a prefix, by that name."""
    return {name.removeprefix(prefix): n for name, n in sums.items() if name.startswith(prefix)}


def _ledger(
    sums: Mapping[str, int],
    named: Sequence[tuple[str, str]],
    drivers: Mapping[str, str],
    targets: Mapping[str, str],
) -> Ledger:
    """The ledger of added counters; `named` are metrics and their exporters."""
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
    """What was in a queue at the start, and what bundles put there that failed afterwards; 0 without a queue."""
    before = sums.get(f"queued_before/{name}")
    if before is None:
        return 0
    known = sum(sums.get(f"{what}/{name}", 0) for what in ("delivered", "rejected", "waiting"))
    return max(before, known - sums.get(f"formatted/{name}", 0))
