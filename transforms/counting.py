"""The names of dovebeam's counters, which the ledger adds up and a runner's user interface shows.

All are in the namespace `dovebeam`. A counter of one metric or exporter has its name behind a slash.
"""

from functools import cache
from typing import Final

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricName

from dovebeam.transforms.plan import Outcome

__all__ = ["NAMESPACE", "add", "count_outcome"]

NAMESPACE: Final = "dovebeam"


def add(name: str, count: int, of: str = "") -> None:
    """Adds to the counter `name`, or `name/of`; a count of 0 makes no counter."""
    if count:
        _counter(f"{name}/{of}" if of else name).inc(count)


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
