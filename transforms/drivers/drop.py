"""The `drop` driver: discards every payload.

Dovecot's section "Export drivers", "drop": the event is formatted and the result thrown away; there are no settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure

__all__ = ["DropConnection", "DropDriver"]


@dataclass(frozen=True, slots=True)
class DropDriver(Driver):
    """Counts payloads and discards them; it has no settings.

    Parallelism: unlimited, connections share nothing.

    Delivery: nothing is delivered, on purpose; every payload counts as delivered and none can fail.
    """

    name: ClassVar[str] = "drop"

    @property
    def endpoint(self) -> str:
        """Empty, as there is no target."""
        return ""

    def open(self) -> DropConnection:
        """A connection that counts."""
        return DropConnection()


class DropConnection(Connection):
    """A connection that discards all payloads and counts them.

    Attributes:
        payloads: number of payloads discarded.
        bytes: their bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.payloads = 0
        self.bytes = 0

    def deliver(self, batch: Batch) -> list[Failure]:
        """Counts the payloads and drops them."""
        self.payloads += len(batch)
        self.bytes += sum(map(len, batch.payloads))
        return []
