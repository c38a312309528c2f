"""`CountExports`: counts what an export would send, by exporter, metric and hour of the events; sends nothing.

    blocks --> Match and format --> add up by (exporter, metric, hour) --> one list of all sums

The events are matched and formatted exactly as an export does it, so its numbers are those of the export's ledger.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import progress
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.config import Config
from dovebeam.transforms.counters import count_block, count_outcome
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.plan.decoding import Outcome
from dovebeam.transforms.plan.export_plan import ExportPlan, make_plan
from dovebeam.transforms.shards.archive import HourRouter
from dovebeam.transforms.sources import Block

__all__ = ["CountExports", "ExportSum"]

_ALWAYS = TimeRange()


class ExportSum(NamedTuple):
    """Totals of what one metric would export to one exporter, for the events of one hour.

    Attributes:
        exporter: its name.
        metric: the name of the metric's block.
        hour: of the events' end time, or else start time, as in 2026-11-22T08Z; empty for events without times.
        events: number of payloads.
        bytes: size of the payloads, without framing.
    """

    exporter: str
    metric: str
    hour: str
    events: int
    bytes: int


class CountExports(beam.PTransform):
    """Counts what an export would send.

    Args:
        config: from `load_config`.
        time_range: only events in this range.
        max_line_bytes: longer lines of blocks are rejected.
    """

    def __init__(
        self, config: Config, *, time_range: TimeRange = _ALWAYS, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    ) -> None:
        super().__init__()
        # Routers of hours in place of the exporters' own: each payload then comes with its hour as its path.
        routers = {metric.exporter: HourRouter() for metric in config.metrics if metric.exporter}
        self._plan = make_plan(config, time_range, routers)
        self._max_line_bytes = max_line_bytes

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[list[ExportSum]]:
        """Blocks to one list of `ExportSum`, sorted; it is empty if nothing matched."""
        sums: beam.PCollection[list[ExportSum]] = (
            blocks
            | "Match and format" >> beam.ParDo(_CountFn(self._plan, self._max_line_bytes))
            | "Add up" >> beam.CombinePerKey(_add_up)
            | "Name" >> beam.MapTuple(lambda key, sums: ExportSum(*key, *sums))
            # One worker gets them all; there are as many as exporters, metrics and hours, not as many as events.
            | "All" >> beam.combiners.ToList()
            | "Sort" >> beam.Map(sorted)
        )
        return sums


def _add_up(sums: Iterable[tuple[int, int]]) -> tuple[int, int]:
    # Beam also calls it on sums that it returned before, so input and output have one form.
    events = size = 0
    for more_events, more_bytes in sums:
        events += more_events
        size += more_bytes
    return events, size


@beam.typehints.with_input_types(Block)
@beam.typehints.with_output_types(tuple[tuple[str, str, str], tuple[int, int]])
class _CountFn(beam.DoFn):
    def __init__(self, plan: ExportPlan, max_line_bytes: int) -> None:
        self._plan = plan
        self._max_line_bytes = max_line_bytes

    def process(self, block: Any) -> Iterable[Any]:
        outcome = self._plan.export_block(block, self._max_line_bytes)
        # The counters of an export, so that a dry run's ledger has the same equations.
        count_block(block)
        count_outcome(outcome)
        progress.advance(read_bytes=len(block.data), events=outcome.read, rejected=len(outcome.rejects))
        return _sums(outcome).items()


def _sums(outcome: Outcome) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Events and bytes of one block by exporter, metric and hour."""
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for exporter, batch in outcome.batches.items():
        for payload, metric, hour in zip(batch.payloads, batch.metrics, batch.paths, strict=True):
            key = exporter, metric, hour
            events, size = sums.get(key, (0, 0))
            sums[key] = events + 1, size + len(payload)
    return sums
