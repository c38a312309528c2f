"""Puller of messages: buffers a bounded number of them and extends their leases, in two threads of its own.

One thread pulls while there is room. The other one acknowledges delivered messages and extends the leases of the rest.
Failed calls are retried for as long as the stream runs: an outage of Pub/Sub does not end a job.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.sources.pubsub.client import (
    MAX_PULL_MESSAGES,
    PubSubRefusedError,
    PubSubUnavailableError,
    Pulled,
    SubscriptionClient,
)

__all__ = ["LEASE_SECS", "Leases", "PullLimits", "Puller"]


LEASE_SECS: Final = 20
"""Time by which a lease is extended; after a crash, messages are delivered again when it is over."""

_FIRST_SECS: Final = 4.0
"""The first extension comes well before the shortest deadline that a subscription can have, 10 s."""

_NEXT_SECS: Final = 8.0  # well before the end of the lease, so that a failed call can be repeated


@dataclass(slots=True)
class _Lease:
    """Lease of one message: its size, when to extend it, and since when it is in delivery (None if it is not)."""

    size: int
    renew_at: float
    taken_at: float | None = None


class Leases:
    """Leases of the messages that were pulled and not yet acknowledged or given back. Times are monotonic.

    Args:
        max_taken_secs: time that a message may be in delivery.

    Attributes:
        held_bytes: of the payloads of all messages.
    """

    def __init__(self, max_taken_secs: float) -> None:
        self._max_taken_secs: Final = max_taken_secs
        self._leases: Final[dict[str, _Lease]] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._leases)

    def add(self, messages: Iterable[Pulled], now: float) -> None:
        """Adds messages that were pulled."""
        for message in messages:
            self._leases[message.ack_id] = _Lease(len(message.data), now + _FIRST_SECS)
            self.held_bytes += len(message.data)

    def take(self, messages: Iterable[Pulled], now: float | None) -> None:
        """Notes that messages are in delivery since `now`; with None, that they are not."""
        for message in messages:
            lease = self._leases.get(message.ack_id)
            if lease is not None:
                lease.taken_at = now

    def remove(self, ack_ids: Iterable[str]) -> None:
        """Removes messages that were acknowledged or given back."""
        for ack_id in ack_ids:
            lease = self._leases.pop(ack_id, None)
            if lease is not None:
                self.held_bytes -= lease.size

    def all(self) -> list[str]:
        """Ids of all leases."""
        return list(self._leases)

    def due(self, now: float) -> list[str]:
        """Ids of leases that are to be extended now."""
        return [ack_id for ack_id, lease in self._leases.items() if lease.renew_at <= now]

    def extended(self, ack_ids: Iterable[str], now: float) -> None:
        """Notes that leases were extended."""
        for ack_id in ack_ids:
            lease = self._leases.get(ack_id)
            if lease is not None:
                lease.renew_at = now + _NEXT_SECS

    def overdue(self, now: float) -> list[str]:
        """Ids of messages whose delivery takes too long."""
        limit = now - self._max_taken_secs
        taken = ((ack_id, lease.taken_at) for ack_id, lease in self._leases.items())
        return [ack_id for ack_id, taken_at in taken if taken_at is not None and taken_at < limit]


# The puller.

# Acknowledgements are collected for a tick, so that many small bundles share one call.
_TICK_SECS: Final = 0.1
_LEASES_SECS: Final = 1.0
_IDLE_SECS: Final = 0.05
"""Pause after an answer without messages, which some servers give at once."""

_BACKOFF: Final = Backoff(0.5, 30.0, jitter=False)
_WARN_SECS: Final = 60.0
_CLOSE_SECS: Final = 10.0  # a stop must stay within the time limit of a service manager, 90 s in systemd

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullLimits:
    """Limits of a puller.

    Attributes:
        max_messages: maximum number of messages that are not yet acknowledged.
        max_bytes: maximum size of their payloads; one answer of the service may exceed it.
        wait_secs: how long a call waits for the first message.
        max_taken_secs: if the delivery of a message takes longer, its lease is not extended any more, so it may be
            delivered twice.
    """

    max_messages: int = 10_000
    max_bytes: int = 32 * 1024 * 1024
    wait_secs: float = 2.0
    max_taken_secs: float = 600.0


class Puller:
    """Buffer of pulled messages, with flow control and leases.

    Args:
        client: of the subscription; closed with the puller.
        limits: see `PullLimits`.
    """

    def __init__(self, client: SubscriptionClient, limits: PullLimits = PullLimits()) -> None:
        self._client: Final = client
        self._limits: Final = limits
        self._changed: Final = threading.Condition()
        self._buffer: Final[deque[Pulled]] = deque()
        self._leases: Final = Leases(limits.max_taken_secs)
        self._acks: list[str] = []
        self._sending = False
        self._error: Exception | None = None
        self._stopping = False
        self._closing = False
        self._warned_at = -_WARN_SECS
        self._pulling: Final = self._start("pull", self._pull_on)
        self._keeping: Final = self._start("keep", self._keep_on)

    @property
    def held(self) -> int:
        """Number of messages that were pulled and not yet acknowledged or given back."""
        with self._changed:
            return len(self._leases)

    def take(self, max_bytes: int) -> list[Pulled]:
        """Takes buffered messages for delivery, in the order in which they came; an empty list if there are none.

        Args:
            max_bytes: approximate limit for their payloads.

        Raises:
            SourceError: the subscription cannot be read, and an operator must repair it.
        """
        # An error of the threads fails the bundle that asks for messages, and so the stream; a thread has no caller.
        with self._changed:
            if self._error is not None:
                raise self._error
            taken: list[Pulled] = []
            size = 0
            while self._buffer and size < max_bytes:
                taken.append(self._buffer.popleft())
                size += len(taken[-1].data)
            self._leases.take(taken, time.monotonic())
            return taken

    def acknowledge(self, messages: Iterable[Pulled]) -> None:
        """Acknowledges delivered messages later, in a thread; until then they count as held."""
        with self._changed:
            self._acks.extend(message.ack_id for message in messages)
            self._changed.notify_all()

    def flush(self) -> None:
        """Waits until all acknowledgements were sent, for some seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._acks or self._sending), _CLOSE_SECS)

    def put_back(self, messages: Sequence[Pulled]) -> None:
        """Puts messages that were not delivered back to the front of the buffer."""
        # Reversed, because `extendleft` adds one after the other; in front, so that their order stays.
        with self._changed:
            self._leases.take(messages, None)
            self._buffer.extendleft(reversed(messages))

    def stop(self) -> None:
        """Stops pulling; leases are still extended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def close(self) -> None:
        """Acknowledges delivered messages, gives the others back to the service, and ends; bounded in time."""
        # The pulling thread ends first, so that no message arrives after all were given back.
        self.stop()
        self._pulling.join(self._limits.wait_secs + 1)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._keeping.join(2 * _CLOSE_SECS)
        self._client.close()

    @staticmethod
    def _start(name: str, function: Callable[[], None]) -> threading.Thread:
        # Daemons, so that a call that hangs does not keep a process that ends otherwise.
        thread = threading.Thread(target=function, name=f"dovebeam-pubsub-{name}", daemon=True)
        thread.start()
        return thread

    def _pull_on(self) -> None:
        failures, pause = 0, 0.0
        while self._has_room(pause):
            try:
                messages = self._client.pull(self._room(), self._limits.wait_secs)
            except PubSubUnavailableError as error:
                self._warn(str(error))
                failures += 1
                pause = _BACKOFF.secs(failures)
                continue
            except Exception as error:  # raised by the next `take`
                self._fail(error)
                return
            failures, pause = 0, 0.0 if messages else _IDLE_SECS
            with self._changed:
                self._leases.add(messages, time.monotonic())
                self._buffer.extend(messages)

    def _has_room(self, pause: float) -> bool:
        """Waits for `pause` seconds, then until there is room; returns false if the puller is stopping."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, pause)
            self._changed.wait_for(lambda: self._stopping or self._room() > 0)
            return not self._stopping

    def _room(self) -> int:
        # Messages in delivery count, too: back-pressure of a slow target must reach the subscription.
        if self._leases.held_bytes >= self._limits.max_bytes:
            return 0
        return min(MAX_PULL_MESSAGES, self._limits.max_messages - len(self._leases))

    def _keep_on(self) -> None:
        # Acknowledgements and leases share a thread, so that no lease is extended that is just being acknowledged.
        leases_at = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _TICK_SECS)
                closing = self._closing
            if closing:
                break
            self._send_acks()
            if time.monotonic() >= leases_at:
                leases_at = time.monotonic() + _LEASES_SECS
                self._extend_leases()
        self._give_all_back()

    def _send_acks(self) -> bool:
        """Sends waiting acknowledgements; returns whether none is left."""
        with self._changed:
            acks, self._acks = self._acks, []
            self._sending = bool(acks)
        if not acks:
            return True
        # Without the lock: a call may take seconds, and `take` must not wait for it.
        done = self._call("acknowledge", lambda: self._client.acknowledge(acks))
        with self._changed:
            self._sending = False
            if done:
                self._leases.remove(acks)
            else:
                self._acks = acks + self._acks
            self._changed.notify_all()
            self._changed.wait_for(lambda: done or self._closing, _BACKOFF.first_secs)
        return done

    def _extend_leases(self) -> None:
        now = time.monotonic()
        with self._changed:
            overdue = self._leases.overdue(now)
        if overdue:
            _logger.warning(
                "%s: the delivery of %d messages takes more than %.0f s; they may be delivered a second time",
                self._client.subscription,
                len(overdue),
                self._limits.max_taken_secs,
            )
            # Their leases end, and the service gives them to another reader: this one may hang forever.
            self._forget(overdue)
        with self._changed:
            due = self._leases.due(now)
        if due and self._call("keep", lambda: self._client.extend(due, LEASE_SECS)):
            with self._changed:
                self._leases.extended(due, now)

    def _give_all_back(self) -> None:
        give_up = time.monotonic() + _CLOSE_SECS
        while not self._send_acks():
            if time.monotonic() > give_up:
                _logger.warning(
                    "%s: %d delivered messages could not be acknowledged and will be delivered again",
                    self._client.subscription,
                    len(self._acks),
                )
                break
        # Given back at once, so that the next reader need not wait for the leases to end.
        with self._changed:
            rest = self._leases.all()
        if rest:
            self._call("give back", lambda: self._client.extend(rest, 0))

    def _call(self, what: str, call: Callable[[], None]) -> bool:
        """Calls the service; returns false if the call must be repeated."""
        try:
            call()
        except PubSubUnavailableError as error:
            self._warn(str(error))
            return False
        except PubSubRefusedError as error:
            self._warn(f"cannot {what} some messages, which may be delivered again: {error}")
        except Exception as error:  # raised by the next `take`
            self._fail(error)
            return False
        return True

    def _forget(self, ack_ids: Sequence[str]) -> None:
        with self._changed:
            self._leases.remove(ack_ids)
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_SECS:
            self._warned_at = now
            _logger.warning("%s; retrying", text)
