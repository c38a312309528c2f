"""The connections of a listener, no more than a limit; when somebody waits, those go that keep a place for nothing.

A connection that has not got a request through, and one that has been idle for a minute, can be closed for another; of
the peer with the most connections first, the oldest first. So whoever keeps connections for nothing takes no place from
those who send.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections import Counter
from typing import Final

__all__ = ["Slot", "Slots"]

_GRACE_SECS: Final = 1.0  # for a new connection to get its first request through, when all slots are taken
_IDLE_SECS: Final = 60.0  # after a request; a connection that Dovecot uses is rarely so long without one
_NETWORK_BITS: Final = 64  # of an IPv6 address: who has one address has all of its network


class Slot:
    """The place of one connection.

    Args:
        connection: may be shut down.
        slots: whose place it is, None for one beyond the limit.
    """

    def __init__(self, connection: socket.socket, slots: Slots | None = None) -> None:
        self.peer = _peer(connection)
        self._connection = connection
        self._slots = slots
        self._since: float | None = time.monotonic()
        self._is_proven = False

    def busy(self) -> None:
        """Something is being done; a peer that has not proven itself may do it for too long."""
        self._since = None if self._is_proven else self._since

    def prove(self) -> None:
        """The peer is one that sends what is taken."""
        self._is_proven = True

    def idle(self) -> None:
        """Nothing is being done."""
        if self._is_proven:
            self._since = time.monotonic()

    def end(self) -> None:
        """The connection is over; may be called again."""
        if self._slots is not None:
            self._slots.free(self)

    def evict(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):  # gone by itself
            self._connection.shutdown(socket.SHUT_RDWR)

    @property
    def unused_secs(self) -> float:
        """For how long it could have been closed for another; negative if it cannot yet."""
        if self._since is None:
            return -1.0
        return time.monotonic() - self._since - (_IDLE_SECS if self._is_proven else _GRACE_SECS)


class Slots:
    """All places of a listener.

    Args:
        limit: how many there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: set[Slot] = set()
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Returns when there is a free one, or one that can be taken from its connection, which is ended."""
        while len(self._taken) >= self._limit and not self._evict_one():
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_SECS):
                    await self._freed.wait()

    def take(self, connection: socket.socket) -> Slot:
        """A slot for a new connection."""
        slot = Slot(connection, self)
        self._taken.add(slot)
        return slot

    def free(self, slot: Slot) -> None:
        """Lets another connection have it."""
        self._taken.discard(slot)
        self._freed.set()

    def _evict_one(self) -> bool:
        unused = [slot for slot in self._taken if slot.unused_secs >= 0]
        if not unused:
            return False
        held = Counter(slot.peer for slot in self._taken)
        worst = max(unused, key=lambda slot: (held[slot.peer], slot.unused_secs))
        self.free(worst)
        worst.evict()
        return True


def _peer(connection: socket.socket) -> str:
    """Who is at the other end: an address, or the network of one; of a unix socket nothing is known."""
    if connection.family == socket.AF_UNIX:
        return ""
    try:
        host: str = connection.getpeername()[0]
    except OSError:  # gone already
        return ""
    address = ipaddress.ip_address(host.partition("%")[0])
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False) if address.version == 6 else address)
