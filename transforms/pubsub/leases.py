"""Which messages are ours, and what must be told to the service about them; no thread and no call is in here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.sources.pubsub.client import Pulled

__all__ = ["LEASE_SECS", "Leases"]

LEASE_SECS: Final = 20
"""For how long a message is kept each time; after a crash it is delivered again when that is over."""

_FIRST_SECS: Final = 4.0
"""The first extension comes well before the shortest deadline that a subscription can have, 10 s."""

_NEXT_SECS: Final = 8.0


@dataclass(slots=True)
class _Lease:
    """Of one message: its size, since when it was taken for delivery (None: it was not), when it is to be extended."""

    size: int
    renew_at: float
    taken_at: float | None = None


class Leases:
    """The messages that were pulled and not yet acknowledged or given back. Times are of the monotonic clock.

    Args:
        max_taken_secs: for how long a message that was taken for delivery is kept.

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
        """Messages that were pulled."""
        for message in messages:
            self._leases[message.ack_id] = _Lease(len(message.data), now + _FIRST_SECS)
            self.held_bytes += len(message.data)

    def take(self, messages: Iterable[Pulled], now: float | None) -> None:
        """Messages are delivered from now on; with None, not any more."""
        for message in messages:
            lease = self._leases.get(message.ack_id)
            if lease is not None:
                lease.taken_at = now

    def remove(self, ack_ids: Iterable[str]) -> None:
        """Messages that are no longer ours."""
        for ack_id in ack_ids:
            lease = self._leases.pop(ack_id, None)
            if lease is not None:
                self.held_bytes -= lease.size

    def all(self) -> list[str]:
        """The ids of all."""
        return list(self._leases)

    def due(self, now: float) -> list[str]:
        """Those that are to be extended now by `LEASE_SECS`."""
        return [ack_id for ack_id, lease in self._leases.items() if lease.renew_at <= now]

    def extended(self, ack_ids: Iterable[str], now: float) -> None:
        """They were."""
        for ack_id in ack_ids:
            lease = self._leases.get(ack_id)
            if lease is not None:
                lease.renew_at = now + _NEXT_SECS

    def overdue(self, now: float) -> list[str]:
        """Those whose delivery takes too long."""
        limit = now - self._max_taken_secs
        taken = ((ack_id, lease.taken_at) for ack_id, lease in self._leases.items())
        return [ack_id for ack_id, taken_at in taken if taken_at is not None and taken_at < limit]
