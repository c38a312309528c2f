"""The names of dovebeam's counters, which the ledger adds up and a runner's user interface shows.

All are in the namespace `dovebeam`. A counter of one metric or exporter has its name behind a slash.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricName

from dovebeam.transforms import progress
from dovebeam.transforms.plan.decoding import TALLY, Outcome
from dovebeam.transforms.sources import Block

__all__ = ["ARRIVING", "COUNTERS", "NAMESPACE", "add", "count_block", "count_outcome"]

NAMESPACE: Final = "dovebeam"

ARRIVING: Final = "arriving"
"""Before a slash and an exporter: payloads of a batch on its way that have arrived; told to a local launcher only."""

COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "read": "lines and records that were read, and rejects of an earlier job that are sent again",
        "matched": "events that at least one metric with an exporter matched",
        "matched/METRIC": "events that this metric matched",
        "unmatched": "events that no metric with an exporter matched",
        "unmatched/METRIC": "of `MatchMetric` with a name: events that its filter did not match",
        "out_of_range": "events outside of `--start_time` and `--end_time`",
        "undecodable": "lines and records that are no events; each becomes a reject",
        "damaged/FILE": "1 for each file of the input that could not be read whole, or is not what its manifest says",
        "nul_bytes": "zero bytes that were passed over before lines",
        "held_back": "rejects of an earlier job that were tried often enough, or have no exporter any more",
        "resent/EXPORTER": "rejects of an earlier job that went to this exporter without being matched again",
        "formatted/EXPORTER": "events that were written in the format of this exporter",
        "delivered/EXPORTER": "of those, how many arrived, as the driver promises it",
        "delivered_bytes/EXPORTER": "bytes of the events that arrived, without framing or compression",
        "rejected/EXPORTER": "of those that were formatted, how many became rejects",
        "files/EXPORTER": "shards that were written",
        "rejects_accounted": "rejects that arrived where rejects go",
        "reject_reason/TEXT": "rejects of this reason; rare ones are together under `other reasons`",
    }
)
"""What each counter counts. A word in capitals stands for a name, or for the text of a reason."""


def add(name: str, count: int, of: str = "") -> None:
    """Adds to the counter `name`, or `name/of`; a count of 0 makes no counter."""
    if count:
        name = f"{name}/{of}" if of else name
        _counter(name).inc(count)
        TALLY.add(name, count)
        progress.count(name, count)


def count_block(block: Block) -> None:
    """Counts what is missing in a block, or was passed over before it."""
    add("nul_bytes", block.nuls)


def count_outcome(outcome: Outcome) -> None:
    """Counts what became of the events of a block, as the ledger adds it up."""
    add("read", outcome.read)
    add("matched", outcome.matched)
    add("unmatched", outcome.unmatched)
    add("out_of_range", outcome.out_of_range)
    add("undecodable", len(outcome.rejects))
    for metric, count in outcome.matched_by_metric.items():
        add("matched", count, metric)
    for exporter, batch in outcome.batches.items():
        add("formatted", len(batch), exporter)
    for reject in outcome.unrouted:
        add("formatted", 1, reject.exporter)
        add("rejected", 1, reject.exporter)


@cache
def _counter(name: str) -> Metrics.DelegatingCounter:
    return Metrics.DelegatingCounter(MetricName(NAMESPACE, name))
