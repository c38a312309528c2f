"""Delivery of payloads in batches of a driver, for bundles of a job and for the queues of a stream."""

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
    """A payload that the target refused.

    Attributes:
        batch: the batch that it came with.
        index: its index in the batch.
        failure: reported by the driver.
        origin: given to `Delivery.add` with the batch.
    """

    batch: PayloadBatch
    index: int
    failure: Failure
    origin: Any


class Sent(NamedTuple):
    """Result of one `Delivery.send`.

    Attributes:
        delivered: number of payloads that arrived.
        delivered_bytes: their bytes, without framing or compression.
        refused: the other payloads.
    """

    delivered: int
    delivered_bytes: int
    refused: list[Refused]


class Delivery:
    """Collects payloads to batches of the driver's size, and sends them over one connection.

    One thread at a time may use it.

    Args:
        driver: of the target; its connection is opened.
        exporter: name of the exporter, a part of the payloads' keys.
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
        """Drops held payloads of a bundle that failed, which the runner repeats."""
        self._held = _Held()

    def add(self, batch: PayloadBatch, origin: Any = None) -> bool:
        """Takes payloads; returns whether it is time to `send`.

        Args:
            batch: the payloads.
            origin: given back with those that are refused.
        """
        held = self._held
        held.add(batch, origin)
        events, size, msec = self._limits
        if len(held.payloads) >= events or held.size >= size:
            return True
        # Only looked at when payloads come, so a batch can wait longer; the end of the bundle sends it at the latest.
        return msec is not None and (time.monotonic() - held.since) * 1000 >= msec

    def send(self) -> Sent:
        """Sends all held payloads as one batch.

        Raises:
            DeliveryError: the target is unavailable. No payloads are held any more: the bundle fails and is repeated.
        """
        held, self._held = self._held, _Held()
        if not held.payloads:
            return Sent(0, 0, [])
        # A key is a hash of the payload, which drivers without idempotent requests are spared.
        keys = held.keys(self._exporter) if self._wants_keys else ()
        failures = self._connection.send(Batch(held.payloads, keys, held.paths))
        refused_bytes = sum(len(held.payloads[failure.index]) for failure in failures)
        return Sent(len(held.payloads) - len(failures), held.size - refused_bytes, list(map(held.refused, failures)))

    def flush(self) -> None:
        """Waits until all sent payloads are as safe as the driver can make them.

        Raises:
            DeliveryError: a payload that was sent earlier did not arrive.
        """
        self._connection.flush()

    def close(self) -> None:
        """Closes the connection.

        Raises:
            DeliveryError: see `Connection.close`.
        """
        self._connection.close()


def refused_reject(exporter: str, batch: PayloadBatch, index: int, failure: Failure) -> Reject:
    """The reject of a payload that the target refused.

    Args:
        exporter: name of its exporter.
        batch: the batch that it came with.
        index: its index in the batch.
        failure: reported by the driver.
    """
    # A payload that was a reject before stays the same reject, with its attempts counted up.
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
    """The reject of a payload that was a reject before."""
    record = rejected_again(
        batch.records[index],
        failure.reason,
        attempts=failure.attempts,
        http_status=failure.status,
        endpoint_host=failure.endpoint,
    )
    # A record that had failed in decoding or routing has come further now: next time it is only delivered.
    return as_payload(record, batch.payloads[index], metric=batch.metrics[index], exporter=exporter)


class _Origin(NamedTuple):
    """A held batch, the index of its first payload among all that are held, and its origin."""

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
        # The age of a batch counts from its first payload, not from the end of the batch before.
        if not self.payloads:
            self.since = time.monotonic()
        self._origins.append(_Origin(len(self.payloads), batch, origin))
        self.payloads.extend(batch.payloads)
        self.paths.extend(batch.paths)
        self.size += sum(map(len, batch.payloads))

    def keys(self, exporter: str) -> list[str]:
        """Keys by which a target can recognise duplicates, one for each payload."""
        keys = []
        for _, batch, _ in self._origins:
            for index, payload in enumerate(batch.payloads):
                metric = batch.metrics[index] if batch.metrics else ""
                offset = batch.offsets[index] if batch.offsets else None
                keys.append(payload_key(exporter, metric, batch.source_uri, offset, payload))
        return keys

    def refused(self, failure: Failure) -> Refused:
        """The refused payload of a failure, with its batch and its index in it."""
        # The batch is the last one that begins at or before the payload.
        at = self._origins[bisect_right(self._origins, failure.index, key=lambda held: held.first) - 1]
        return Refused(at.batch, failure.index - at.first, failure, at.origin)
