"""Counters of dovebeam: their names, which the ledger adds up and a runner's user interface shows, and counting.

All are in the namespace `dovebeam`. The name of a metric or an exporter stands behind a slash.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricName

from dovebeam.transforms import progress
from dovebeam.transforms.plan.decoding import BUNDLE_COUNTERS, Outcome
from dovebeam.transforms.sources import Block

__all__ = ["ARRIVING", "COUNTERS", "NAMESPACE", "add", "count_block", "count_outcome"]

NAMESPACE: Final = "dovebeam"

ARRIVING: Final = "arriving"
"""With an exporter's name: payloads that have arrived of a batch on its way; only a local launcher sees it."""

COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "read": "lines and records that were read, and rejects of an earlier job that were read to be re-sent",
        "matched": "events that at least one metric with an exporter matched",
        "matched/METRIC": "events that this metric matched",
        "unmatched": "events that no metric with an exporter matched",
        "unmatched/METRIC": "only for `MatchMetric`: events that this metric or filter did not match",
        "out_of_range": "events outside the time range of `--start_time` and `--end_time`",
        "undecodable": "lines and records that are not events; each becomes a reject",
        "damaged/FILE": "1 for each input file that could not be read completely, or differs from its manifest",
        "nul_bytes": "NUL bytes in the input that were skipped",
        "held_back": "rejects of an earlier job that were not re-sent: they were tried too often, have a truncated "
        "payload, name an exporter that no metric names any more, or were formatted for an exporter that now has a "
        "`file_path_template` or `file_rotate_interval`",
        "resent/EXPORTER": "rejects of an earlier job that were re-sent to this exporter without being matched again",
        "formatted/EXPORTER": "events that were formatted for this exporter, as its payloads",
        "delivered/EXPORTER": "payloads that were delivered, as the guarantee of the driver defines it",
        "delivered_bytes/EXPORTER": "bytes of the payloads that were delivered, without framing and compression",
        "rejected/EXPORTER": "payloads that became rejects",
        "files/EXPORTER": "shards that this exporter wrote",
        "rejects_accounted": "rejects that were written to the output for rejects",
        "reject_reason/TEXT": "rejects with this reason; a worker counts 20 reasons, and all others as `other reasons`",
    }
)
"""Meaning of each counter. A word in capitals stands for a name, or for the text of a reason."""


def add(name: str, count: int, of: str = "") -> None:
    """Adds to the counter `name`, or `name/of`; a count of 0 makes no counter."""
    if count:
        name = f"{name}/{of}" if of else name
        # Three accounts of the same: Beam's, which any runner has in the end; that of a stream's acknowledged bundles;
        # and the launcher's, for a local job that is stopped or fails before Beam tells its own.
        _counter(name).inc(count)
        BUNDLE_COUNTERS.add(name, count)
        progress.count(name, count)


def count_block(block: Block) -> None:
    """Counts what was skipped before the lines of a block."""
    add("nul_bytes", block.nuls)


def count_outcome(outcome: Outcome) -> None:
    """Counts the outcome of a block, as the ledger adds it up."""
    # The ledger checks: read = matched + unmatched + out_of_range + undecodable.
    add("read", outcome.read)
    add("matched", outcome.matched)
    add("unmatched", outcome.unmatched)
    add("out_of_range", outcome.out_of_range)
    add("undecodable", len(outcome.rejects))
    for metric, count in outcome.matched_by_metric.items():
        add("matched", count, metric)
    for exporter, batch in outcome.batches.items():
        add("formatted", len(batch), exporter)
    # Formatted, and rejected for lack of a path: on both sides of formatted = delivered + rejected.
    for reject in outcome.unrouted:
        add("formatted", 1, reject.exporter)
        add("rejected", 1, reject.exporter)


# Kept, since making a counter costs more than adding to it.
@cache
def _counter(name: str) -> Metrics.DelegatingCounter:
    return Metrics.DelegatingCounter(MetricName(NAMESPACE, name))
