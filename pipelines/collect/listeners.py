"""Listeners that accept no more connections than are allowed; whoever comes then waits in the kernel's queue.

When somebody waits, those connections go that keep a place for nothing: one that has not got a request through, and one
that has been idle for a minute, of the peer with the most connections first, the oldest first. So whoever keeps
connections for nothing takes no place from those who send.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections import Counter
from typing import Final, Protocol

from dovebeam.pipelines.collect.sockets import Bound
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers.base import delivery_error

__all__ = ["Listener", "Peers", "Slot", "Slots"]

_GRACE_SECS: Final = 1.0  # for a new connection to get its first request through, when all slots are taken
_IDLE_SECS: Final = 60.0  # after a request; a connection that Dovecot uses is rarely so long without one
_NETWORK_BITS: Final = 64  # of an IPv6 address: who has one address has all of its network
_WAIT_SECS: Final = 1.0
_HANDSHAKE_SECS: Final = 30.0
_SHUTDOWN_SECS: Final = 5.0


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


class Peers(Protocol):
    """What the connections of a listener speak."""

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """For one connection, which says what it does, and ends its slot once it is over."""
        ...  # pragma: no cover

    async def stop(self, seconds: float) -> None:
        """Ends all connections in that time, with what they have in hand done if possible."""
        ...  # pragma: no cover


class Listener:
    """Accepts connections for `peers`, until it is stopped.

    Args:
        bound: its socket, which listens.
        peers: what is spoken.
        max_connections: at a time.
        tls: for https.
    """

    def __init__(
        self,
        bound: Bound,
        peers: Peers,
        max_connections: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._bound = bound
        self._peers = peers
        self._slots = Slots(max_connections)
        self._tls = tls
        self._is_complaining = False
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self, seconds: float) -> None:
        """Accepts no more, and ends what is connected; who waits at a unix socket of our own is still heard."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        if self._bound.place is not None:
            self._bound.withdraw()  # so that nobody else comes
            self._accept_waiting()
        self._bound.close()
        if self._tls:
            for task in self._connecting:
                task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await self._peers.stop(seconds)

    def _accept_waiting(self) -> None:
        """Hears Dovecots that were never accepted: more than the limit, but no more than the queue holds."""
        with contextlib.suppress(OSError):  # such as BlockingIOError: nobody waits
            while True:
                connection = self._bound.socket.accept()[0]
                self._connect_soon(connection, Slot(connection))

    async def _accept(self) -> None:
        while True:
            await self._somebody_waits()
            await self._slots.wait()
            try:
                connection, _ = self._bound.socket.accept()
            except BlockingIOError:  # gone already
                continue
            except OSError as error:  # such as too many open files; what waits in the queue waits on
                self._complain(error)
                await asyncio.sleep(_WAIT_SECS)
                continue
            self._is_complaining = False
            self._connect_soon(connection, self._slots.take(connection))

    async def _somebody_waits(self) -> None:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._bound.socket, came.set)
        try:
            await came.wait()
        finally:
            loop.remove_reader(self._bound.socket)

    def _complain(self, error: OSError) -> None:
        """Once for each time that the trouble begins."""
        if not self._is_complaining:
            self._is_complaining = True
            say(str(delivery_error("accept", str(self._bound.address), error)))

    def _connect_soon(self, connection: socket.socket, slot: Slot) -> None:
        connection.setblocking(False)
        task = asyncio.create_task(self._connect(connection, slot))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        limits = {"ssl_handshake_timeout": _HANDSHAKE_SECS, "ssl_shutdown_timeout": _SHUTDOWN_SECS} if self._tls else {}
        try:
            await loop.connect_accepted_socket(lambda: self._peers.protocol(slot), connection, ssl=self._tls, **limits)
        except OSError:  # no TLS, or gone already
            connection.close()
            slot.end()
        except asyncio.CancelledError:
            connection.close()
            raise
