"""The names of dovebeam's counters, which the ledger adds up and a runner's user interface shows.

All are in the namespace `dovebeam`. A counter of one metric or exporter has its name behind a slash.
"""

from functools import cache
from typing import Final

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricName

__all__ = ["NAMESPACE", "add"]

NAMESPACE: Final = "dovebeam"


def add(name: str, count: int, of: str = "") -> None:
    """Adds to the counter `name`, or `name/of`; a count of 0 makes no counter."""
    if count:
        _counter(f"{name}/{of}" if of else name).inc(count)


@cache
def _counter(name: str) -> Metrics.DelegatingCounter:
    return Metrics.DelegatingCounter(MetricName(NAMESPACE, name))
