"""What delivers payloads in batches, wherever they come from: a bundle of a job, or the queue of a stream."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dovebeam.transforms.drivers import Batch, Driver, Failure
from dovebeam.transforms.events.reject import Reject, as_payload, make_reject, payload_key, rejected_again
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.export_plan import placed

__all__ = ["Delivery", "Refused", "Sent", "refused_reject"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A payload that did not arrive.

    Attributes:
        batch: the batch that it came with.
        index: its place in there.
        failure: what the driver says.
        origin: what was given with the batch.
    """

    batch: PayloadBatch
    index: int
    failure: Failure
    origin: Any


class Sent(NamedTuple):
    """The result of sending what was held.

    Attributes:
        delivered: number of payloads that arrived.
        delivered_bytes: their bytes.
        refused: the others.
    """

    delivered: int
    delivered_bytes: int
    refused: list[Refused]


class Delivery:
    """Holds payloads until there are enough for a batch of the driver, and sends them over one connection.

    One thread at a time may use it.

    Args:
        driver: where they go; its connection is opened.
        exporter: its name, a part of the payloads' keys.
        on_arrival: see `Connection`.

    Raises:
        DeliveryError: see `Driver.open`.
    """

    def __init__(self, driver: Driver, exporter: str, on_arrival: Callable[[int], None] | None = None) -> None:
        self._exporter = exporter
        self._wants_keys = driver.wants_keys
        self._limits = driver.max_batch_events, driver.max_batch_bytes, driver.max_batch_msec
        self._connection = driver.open()
        self._connection.on_arrival = on_arrival
        self._held = _Held()

    def begin(self) -> None:
        """Forgets what is held; after a failure it comes again."""
        self._held = _Held()

    def add(self, batch: PayloadBatch, origin: Any = None) -> bool:
        """Takes payloads; whether it is time to send.

        Args:
            batch: the payloads.
            origin: given back with those of them that do not arrive.
        """
        held = self._held
        held.add(batch, origin)
        events, size, msec = self._limits
        if len(held.payloads) >= events or held.size >= size:
            return True
        return msec is not None and (time.monotonic() - held.since) * 1000 >= msec

    def send(self) -> Sent:
        """Sends what is held.

        Raises:
            DeliveryError: the target can take nothing at all. Nothing is held any more.
        """
        held, self._held = self._held, _Held()
        if not held.payloads:
            return Sent(0, 0, [])
        keys = held.keys(self._exporter) if self._wants_keys else ()
        failures = self._connection.send(Batch(held.payloads, keys, held.paths))
        refused_bytes = sum(len(held.payloads[failure.index]) for failure in failures)
        return Sent(len(held.payloads) - len(failures), held.size - refused_bytes, list(map(held.refused, failures)))

    def flush(self) -> None:
        """Waits until everything that was sent is as safe as the driver can make it.

        Raises:
            DeliveryError: something that was sent earlier did not arrive.
        """
        self._connection.flush()

    def close(self) -> None:
        """Closes the connection.

        Raises:
            DeliveryError: see `Connection.close`.
        """
        self._connection.close()


def refused_reject(exporter: str, batch: PayloadBatch, index: int, failure: Failure) -> Reject:
    """The reject of a payload that did not arrive.

    Args:
        exporter: whose payload it was.
        batch: the batch that it came with.
        index: its place in there.
        failure: what the driver says.
    """
    if batch.records:
        return _rejected_again(exporter, batch, index, failure)
    reject = make_reject(
        "deliver",
        batch.payloads[index],
        failure.reason,
        metric=batch.metrics[index] if batch.metrics else "",
        exporter=exporter,
        attempts=failure.attempts,
        http_status=failure.status,
        endpoint_host=failure.endpoint,
        source_offset=batch.offsets[index] if batch.offsets else None,
    )
    return placed(reject, batch.source_uri, batch.messages)


def _rejected_again(exporter: str, batch: PayloadBatch, index: int, failure: Failure) -> Reject:
    """What was a reject already; one whose event had to be decoded or routed again now has got as far as here."""
    record = rejected_again(
        batch.records[index],
        failure.reason,
        attempts=failure.attempts,
        http_status=failure.status,
        endpoint_host=failure.endpoint,
    )
    return as_payload(record, batch.payloads[index], metric=batch.metrics[index], exporter=exporter)


class _Origin(NamedTuple):
    """A batch that is held, where its payloads begin among all that are held, and what was given with it."""

    first: int
    batch: PayloadBatch
    origin: Any


class _Held:
    """The payloads of several batches, to be sent together."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.paths: list[str] = []
        self.size = 0
        self.since = time.monotonic()
        self._origins: list[_Origin] = []

    def add(self, batch: PayloadBatch, origin: Any) -> None:
        if not self.payloads:
            self.since = time.monotonic()
        self._origins.append(_Origin(len(self.payloads), batch, origin))
        self.payloads.extend(batch.payloads)
        self.paths.extend(batch.paths)
        self.size += sum(map(len, batch.payloads))

    def keys(self, exporter: str) -> list[str]:
        """The id of each payload."""
        keys = []
        for _, batch, _ in self._origins:
            for index, payload in enumerate(batch.payloads):
                metric = batch.metrics[index] if batch.metrics else ""
                offset = batch.offsets[index] if batch.offsets else None
                keys.append(payload_key(exporter, metric, batch.source_uri, offset, payload))
        return keys

    def refused(self, failure: Failure) -> Refused:
        """A payload that did not arrive, with its batch and its place in it."""
        at = self._origins[bisect_right(self._origins, failure.index, key=lambda held: held.first) - 1]
        return Refused(at.batch, failure.index - at.first, failure, at.origin)
