"""`ResendRejects`: re-sends rejects to their exporters, byte for byte."""

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam

from dovebeam.transforms import counters, progress
from dovebeam.transforms.codecs import DEFAULT_MAX_LINE_BYTES
from dovebeam.transforms.config import Config, make_driver
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.error_handling import REJECTED, RejectingTransform
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.resend_plan import DEFAULT_MAX_ATTEMPTS, ResendPlan, Resent, make_resend_plan
from dovebeam.transforms.sources import Block
from dovebeam.transforms.write_to_exporter import WriteToExporter

__all__ = ["ResendRejects"]


class ResendRejects(RejectingTransform):
    """Re-sends rejects, each by the exporter that it names; lines that could not be decoded go through all metrics.

    Takes a PCollection of `Block` from `ReadFromFiles(..., input_format="rejects")`.

    Args:
        config: from `load_config`.
        drivers: drivers that replace those of the configuration, by exporter; the formats stay as configured.
        max_attempts: maximum number of attempts over all runs; a record that has reached it is not sent, and stays a
            reject.
        max_line_bytes: longer lines are not decoded.
        run_id: see `WriteToExporter`.

    Rejects: records that failed again, with one more attempt and the same origin; records that are not sent, with the
    reason; lines that are not rejects.

    Guarantee: every record of a bundle that succeeded was delivered at least once, rejected, or (if it had to be
    decoded) unmatched. A payload keeps its idempotency key.
    """

    def __init__(
        self,
        config: Config,
        *,
        drivers: Mapping[str, Driver] | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        run_id: str = "",
    ) -> None:
        super().__init__()
        # As in `ExportEvents`: drivers are made at launch, in the order of the configuration.
        used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
        replaced = drivers or {}
        chosen = {name: replaced.get(name) or make_driver(config.exporters[name]) for name in used}
        routers = {name: router for name, driver in chosen.items() if (router := driver.router()) is not None}
        self._plan = make_resend_plan(config, routers, max_attempts, max_line_bytes)
        self._deliveries = {name: WriteToExporter(driver, name=name, run_id=run_id) for name, driver in chosen.items()}

    def expand(self, blocks: beam.PCollection[Block]) -> None:
        """Blocks to nothing."""
        # By number, since an exporter may have the name of the main output.
        tags = {name: f"to_{index}" for index, name in enumerate(self._plan.exporters)}
        batches = dict.fromkeys(tags.values(), PayloadBatch)
        resend = beam.ParDo(_ResendFn(self._plan, tags)).with_output_types(Reject, **batches)
        outputs = blocks | "Sort out" >> resend.with_outputs(*tags.values(), main=REJECTED)
        self.route_rejects(outputs[REJECTED])
        for name, delivery in self._deliveries.items():
            payloads = outputs[tags[name]]
            _ = payloads | f"Deliver to {name}" >> delivery.with_error_handler(self._error_handler)


@beam.typehints.with_input_types(Block)
@beam.typehints.with_output_types(Reject)
class _ResendFn(beam.DoFn):
    def __init__(self, plan: ResendPlan, tags: Mapping[str, str]) -> None:
        self._plan = plan
        self._tags = dict(tags)

    def process(self, block: Any) -> Iterable[Any]:
        resent = self._plan.resend_block(block)
        counters.count_block(block)
        _count(resent)
        # Also those that are held back, so that the new file of rejects is complete without the old one.
        rejects = [*resent.rejects, *resent.held, *resent.unrouted]
        # Reported before the payloads go on, and stopped only after that; see `ExportEvents`.
        progress.tell(read_bytes=len(block.data), events=resent.read, rejected=len(rejects))
        yield from rejects
        for exporter, batch in resent.batches:
            yield beam.pvalue.TaggedOutput(self._tags[exporter], batch)
        progress.obey()


def _count(resent: Resent) -> None:
    counters.add("read", resent.read)
    counters.add("matched", resent.matched)
    counters.add("unmatched", resent.unmatched)
    counters.add("undecodable", len(resent.rejects))
    counters.add("held_back", len(resent.held))
    for metric, count in resent.matched_by_metric.items():
        counters.add("matched", count, metric)
    # Not matched again, so the ledger's equations have them as a term of their own.
    for exporter, count in resent.resent.items():
        counters.add("resent", count, exporter)
    for exporter, batch in resent.batches:
        counters.add("formatted", len(batch), exporter)
    for reject in resent.unrouted:
        counters.add("formatted", 1, reject.exporter)
        counters.add("rejected", 1, reject.exporter)
