"""`DeliverEvents`: formatted events go to a driver's target; what it refuses becomes rejects."""

import time
import uuid
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from dovebeam.transforms import counting, progress
from dovebeam.transforms.config import Exporter
from dovebeam.transforms.drivers import Batch, Connection, Driver, Failure, FileDriver, make_driver
from dovebeam.transforms.identity import payload_key
from dovebeam.transforms.outcome import PayloadBatch
from dovebeam.transforms.plan import placed
from dovebeam.transforms.reject import Reject, as_payload, make_reject, rejected_again
from dovebeam.transforms.rejecting import RejectingTransform
from dovebeam.transforms.sharding import WriteShards
from dovebeam.transforms.sharding.transform import shard_settings
from dovebeam.transforms.shards.layout import check_run_id

__all__ = ["DeliverEvents", "DeliverFn"]


class DeliverEvents(RejectingTransform):
    """Delivers payloads (bytes) with one of Dovecot's drivers, in batches of a bundle.

    A bundle is complete only when all its payloads were delivered or rejected; trouble that is no payload's fault (a
    full disk, say) fails the bundle, and the runner tries it again. So every payload arrives at least once; see the
    driver's own docstring.

    Args:
        driver: a driver, or the exporter of a configuration.
        name: the exporter's name, for counters and rejects.
        run_id: what this run is called, which is a part of the names of files that are written as shards; the same
            name for the same job lets it replace its own files. Empty for a name that nobody else has.
    """

    def __init__(self, driver: Driver | Exporter, *, name: str = "", run_id: str = "") -> None:
        super().__init__()
        if isinstance(driver, Exporter):
            name = name or driver.name
            driver = make_driver(driver)
        self._driver = driver
        self._exporter = name or driver.name
        self._run_id = check_run_id(run_id or uuid.uuid4().hex[:12])

    def default_label(self) -> str:
        """The name that a runner's user interface shows."""
        return f"DeliverEvents({self._exporter})"

    def display_data(self) -> dict[str, Any]:
        """The driver's settings that may be shown."""
        return dict(self._driver.display_items())

    def expand(self, payloads: Any) -> None:
        """PCollection of bytes to nothing."""
        if isinstance(self._driver, FileDriver) and self._driver.file_writing == "shards":
            _ = payloads | "Write" >> WriteShards(shard_settings(self._driver, self._exporter, self._run_id))
            # Nothing is refused, but an error handler that gets no collection at all cannot be closed.
            nothing = beam.Create([], reshuffle=False).with_output_types(Reject)
            self.route_rejects(payloads.pipeline | "No rejects" >> nothing)
            return
        rejects = payloads | "Deliver" >> beam.ParDo(DeliverFn(self._driver, self._exporter))
        self.route_rejects(rejects)


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
        self._connection: Connection | None = None
        self._held = _Held()
        self._untold = (0, 0)  # delivered and rejected since the launcher was told
        self._arrived = 0  # payloads of the batch in hand

    def setup(self) -> None:
        """Opens the connection that all bundles of this instance share."""
        driver = self._driver
        self._limits = driver.max_batch_events, driver.max_batch_bytes, driver.max_batch_msec
        self._connection = driver.open()
        self._connection.on_arrival = self._on_arrival

    def start_bundle(self) -> None:
        """Starts with nothing in hand."""
        # A bundle that failed leaves payloads behind, which its next attempt brings again.
        self._held = _Held()

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        """Takes payloads, and sends what it holds if that is enough; gives rejects."""
        self._held.add(element if isinstance(element, PayloadBatch) else PayloadBatch([element]), timestamp, window)
        if self._is_due():
            yield from self._deliver()
            self._tell()

    def finish_bundle(self) -> Iterable[Any]:
        """Sends the rest; the bundle ends only when the target has everything or it became rejects."""
        yield from self._deliver()
        if self._connection is not None:
            self._connection.flush()
        self._tell()

    def teardown(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_due(self) -> bool:
        held = self._held
        events, size, msec = self._limits
        if len(held.payloads) >= events or held.size >= size:
            return True
        return msec is not None and (time.monotonic() - held.since) * 1000 >= msec

    def _deliver(self) -> list[WindowedValue]:
        """Sends what is held; the rejects keep the time and the window of the payloads that they were."""
        held, self._held = self._held, _Held()
        if not held.payloads:
            return []
        if self._connection is None:
            raise RuntimeError("delivery before setup")
        keys = held.keys(self._exporter) if self._driver.wants_keys else ()
        self._arrived = 0
        failures = self._connection.send(Batch(held.payloads, keys, held.paths))
        progress.recount(f"{counting.ARRIVING}/{self._exporter}", 0)
        rejected_bytes = sum(len(held.payloads[failure.index]) for failure in failures)
        counting.add("delivered", len(held.payloads) - len(failures), self._exporter)
        counting.add("delivered_bytes", held.size - rejected_bytes, self._exporter)
        counting.add("rejected", len(failures), self._exporter)
        self._untold = (len(held.payloads) - len(failures) - self._arrived, len(failures))
        return [self._reject(held, failure) for failure in failures]

    def _on_arrival(self, payloads: int) -> None:
        """Tells the launcher what has arrived of a batch that may never be finished."""
        self._arrived += payloads
        progress.tell(delivered=payloads)
        progress.recount(f"{counting.ARRIVING}/{self._exporter}", self._arrived)

    def _tell(self) -> None:
        """Tells a local launcher what was done, and stops here if it wants so: nothing is held at this point."""
        delivered, rejected = self._untold
        self._untold = (0, 0)
        progress.advance(delivered=delivered, rejected=rejected)

    def refused(self, batch: PayloadBatch, index: int, failure: Failure) -> Any:
        """The element that stands for a payload that did not arrive.

        Args:
            batch: the batch that came with it.
            index: its place in there.
            failure: what the driver says.
        """
        if batch.records:
            return self._rejected_again(batch, index, failure)
        reject = make_reject(
            "deliver",
            batch.payloads[index],
            failure.reason,
            metric=batch.metrics[index] if batch.metrics else "",
            exporter=self._exporter,
            attempts=failure.attempts,
            http_status=failure.status,
            endpoint_host=failure.endpoint,
            source_offset=batch.offsets[index] if batch.offsets else None,
        )
        return placed(reject, batch.source_uri, batch.messages)

    def _reject(self, held: "_Held", failure: Failure) -> WindowedValue:
        origin, index = held.origin(failure.index)
        return WindowedValue(self.refused(origin.batch, index, failure), origin.timestamp, (origin.window,))

    def _rejected_again(self, batch: PayloadBatch, index: int, failure: Failure) -> Reject:
        """What was a reject already; one whose event had to be decoded or routed again now has got as far as here."""
        record = rejected_again(
            batch.records[index],
            failure.reason,
            attempts=failure.attempts,
            http_status=failure.status,
            endpoint_host=failure.endpoint,
        )
        return as_payload(record, batch.payloads[index], metric=batch.metrics[index], exporter=self._exporter)


class _Origin(NamedTuple):
    """A batch that is held, where its payloads begin among all that are held, and its place in time."""

    first: int
    batch: PayloadBatch
    timestamp: Any
    window: Any


class _Held:
    """The payloads of several batches, to be sent together."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.paths: list[str] = []
        self.size = 0
        self.since = time.monotonic()
        self._origins: list[_Origin] = []

    def add(self, batch: PayloadBatch, timestamp: Any, window: Any) -> None:
        if not self.payloads:
            self.since = time.monotonic()
        self._origins.append(_Origin(len(self.payloads), batch, timestamp, window))
        self.payloads.extend(batch.payloads)
        self.paths.extend(batch.paths)
        self.size += sum(map(len, batch.payloads))

    def keys(self, exporter: str) -> list[str]:
        """The id of each payload."""
        keys = []
        for _, batch, _, _ in self._origins:
            for index, payload in enumerate(batch.payloads):
                metric = batch.metrics[index] if batch.metrics else ""
                offset = batch.offsets[index] if batch.offsets else None
                keys.append(payload_key(exporter, metric, batch.source_uri, offset, payload))
        return keys

    def origin(self, index: int) -> tuple[_Origin, int]:
        """The batch of a payload, and the payload's place in it."""
        origin = self._origins[bisect_right(self._origins, index, key=lambda held: held.first) - 1]
        return origin, index - origin.first
