"""Small pipelines for tests: one runner, named, so that none is looked up elsewhere, and its counters."""

from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

Counters = dict[str, int]


@contextmanager
def pipeline(*options: str) -> Iterator[tuple[beam.Pipeline, Counters]]:
    """A pipeline that runs when the block ends, and dovebeam's counters, filled by then."""
    counters: Counters = {}
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(list(options))) as built:
        yield built, counters
    found = built.result.metrics().query()["counters"]
    for metric in found:  # one for each step that has it
        if metric.key.metric.namespace == "dovebeam":
            counters[metric.key.metric.name] = counters.get(metric.key.metric.name, 0) + metric.committed
