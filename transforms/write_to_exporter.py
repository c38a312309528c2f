"""`WriteToExporter`: delivers formatted events by a driver; what the target refuses becomes rejects."""

import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counters, progress
from dovebeam.transforms.config import Exporter, make_driver
from dovebeam.transforms.drivers import Driver, Failure, FileDriver
from dovebeam.transforms.error_handling import RejectingTransform
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.delivery import Delivery, Refused, refused_reject
from dovebeam.transforms.shards.layout import check_run_id
from dovebeam.transforms.write_to_shards import WriteToShards

__all__ = ["DeliverFn", "WriteToExporter"]


class WriteToExporter(RejectingTransform):
    """Delivers payloads (bytes) with one of Dovecot's drivers, in batches.

    A bundle succeeds only when all its payloads were delivered or rejected. A problem that the payload did not cause,
    such as a full disk, fails the bundle, and the runner retries it. So delivery is at least once; see the docstring of
    the driver.

    Args:
        driver: a driver, or the exporter of a configuration.
        name: the exporter's name, for counters and rejects.
        run_id: name of this run, which becomes part of the names of files that are written as shards; with the same
            name, the same job replaces its own files. Empty for a random name.
    """

    def __init__(self, driver: Driver | Exporter, *, name: str = "", run_id: str = "") -> None:
        super().__init__()
        if isinstance(driver, Exporter):
            name = name or driver.name
            driver = make_driver(driver)
        self._driver = driver
        self._exporter = name or driver.name
        # Random by default, and made at launch, so that all workers have the same.
        self._run_id = check_run_id(run_id or uuid.uuid4().hex[:12])

    def default_label(self) -> str:
        """The name that a runner's user interface shows."""
        return f"WriteToExporter({self._exporter})"

    def display_data(self) -> dict[str, Any]:
        """The driver's settings that may be shown."""
        return dict(self._driver.display_items())

    def expand(self, payloads: beam.PCollection[bytes | PayloadBatch]) -> None:
        """Payloads, one by one or in batches, to nothing."""
        if isinstance(self._driver, FileDriver) and self._driver.file_writing == "shards":
            _ = payloads | "Write" >> WriteToShards(self._driver, name=self._exporter, run_id=self._run_id)
            # Nothing is refused, but an error handler that gets no collection at all cannot be closed.
            nothing = beam.Create([], reshuffle=False).with_output_types(Reject)
            self.route_rejects(payloads.pipeline | "No rejects" >> nothing)
            return
        rejects = payloads | "Deliver" >> beam.ParDo(DeliverFn(self._driver, self._exporter))
        self.route_rejects(rejects)


@beam.typehints.with_input_types(bytes | PayloadBatch)
@beam.typehints.with_output_types(Reject)
class DeliverFn(beam.DoFn):
    """Collects payloads (bytes or batches of them) and sends them together, at the latest when the bundle ends.

    Args:
        driver: where they go.
        exporter: the name for counters and rejects.
    """

    def __init__(self, driver: Driver, exporter: str) -> None:
        self._driver = driver
        self._exporter = exporter
        self._delivery: Delivery | None = None
        # Delivered and rejected, not reported to the launcher yet.
        self._untold = (0, 0)
        # Payloads of the batch in hand that have arrived, and were reported while it is sent.
        self._arrived = 0

    def setup(self) -> None:
        """Opens the connection that all bundles of this instance share."""
        # Not in __init__: a DoFn travels as a pickle, and a connection belongs to its worker.
        self._delivery = Delivery(self._driver, self._exporter, on_arrival=self._on_arrival)

    def start_bundle(self) -> None:
        """Starts with nothing in hand."""
        # A bundle that failed leaves payloads behind, which its next attempt brings again.
        self._opened().begin()

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        """Collects payloads, and sends a full batch; returns its rejects."""
        batch = element if isinstance(element, PayloadBatch) else PayloadBatch([element])
        if self._opened().add(batch, (timestamp, window)):
            yield from self._deliver()
            self._tell()

    def finish_bundle(self) -> Iterable[Any]:
        """Sends the rest; the bundle ends only when the target has everything or it became rejects."""
        yield from self._deliver()
        self._opened().flush()
        self._tell()

    def teardown(self) -> None:
        """Closes the connection."""
        if self._delivery is not None:
            self._delivery.close()
            self._delivery = None

    def _opened(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("delivery before setup")
        return self._delivery

    def _deliver(self) -> list[WindowedValue]:
        """Sends the batch; its rejects have the timestamp and the window of their payloads."""
        self._arrived = 0
        sent = self._opened().send()
        if not sent.delivered and not sent.refused:
            return []
        # Set back before the batch itself is counted: a job that is killed in between counts too little, never twice.
        progress.recount(f"{counters.ARRIVING}/{self._exporter}", 0)
        counters.add("delivered", sent.delivered, self._exporter)
        counters.add("delivered_bytes", sent.delivered_bytes, self._exporter)
        counters.add("rejected", len(sent.refused), self._exporter)
        # What was reported on arrival must not be reported again.
        self._untold = (sent.delivered - self._arrived, len(sent.refused))
        return [self._reject(refused) for refused in sent.refused]

    def _on_arrival(self, payloads: int) -> None:
        """Reports what has arrived of a batch that may never be finished."""
        self._arrived += payloads
        progress.tell(delivered=payloads)
        progress.recount(f"{counters.ARRIVING}/{self._exporter}", self._arrived)

    def _tell(self) -> None:
        """Reports to a local launcher, and obeys a stop: nothing is in hand at this point."""
        delivered, rejected = self._untold
        self._untold = (0, 0)
        progress.advance(delivered=delivered, rejected=rejected)

    def refused(self, batch: PayloadBatch, index: int, failure: Failure) -> Any:
        """The output for a payload that was refused; a hook for transforms with outputs of their own.

        Args:
            batch: the batch that came with it.
            index: its place in there.
            failure: the driver's report.
        """
        return refused_reject(self._exporter, batch, index, failure)

    def _reject(self, refused: Refused) -> WindowedValue:
        # At the end of a bundle Beam wants a window with each element, and knows none by itself.
        timestamp, window = refused.origin
        return WindowedValue(self.refused(refused.batch, refused.index, refused.failure), timestamp, (window,))
