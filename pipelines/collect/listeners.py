"""Listeners with a limit of connections; clients beyond it wait in the kernel's queue instead of being refused.

Dovecot loses what is refused. While a client waits, unused connections are closed for it: one that has not completed a
request, or one that has been idle for a minute; of the peer with the most connections first, the oldest first. So a
peer that holds connections without using them takes no place from those that send.
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

# How long a new connection has for its first request when all slots are taken.
_GRACE_SECS: Final = 1.0
# After a request. A connection that Dovecot uses is rarely silent for so long.
_IDLE_SECS: Final = 60.0
# Of an IPv6 address: a host usually has a whole /64 network, so its addresses count as one peer.
_NETWORK_BITS: Final = 64
_WAIT_SECS: Final = 1.0
_HANDSHAKE_SECS: Final = 30.0
_SHUTDOWN_SECS: Final = 5.0


class Slot:
    """A place for one connection of a listener.

    Args:
        connection: is shut down if the place is needed for another.
        slots: of the listener; None for a connection beyond the limit.
    """

    def __init__(self, connection: socket.socket, slots: Slots | None = None) -> None:
        self.peer = _peer(connection)
        self._connection = connection
        self._slots = slots
        self._since: float | None = time.monotonic()
        self._is_proven = False

    def busy(self) -> None:
        """Notes that the connection works."""
        # Not for a peer without a completed request: it could look busy by sending a byte now and then.
        self._since = None if self._is_proven else self._since

    def prove(self) -> None:
        """Notes that the peer has completed a request."""
        self._is_proven = True

    def idle(self) -> None:
        """Notes that the connection waits for its next request."""
        if self._is_proven:
            self._since = time.monotonic()

    def end(self) -> None:
        """Gives the place back when the connection is over; may be called again."""
        if self._slots is not None:
            self._slots.free(self)

    def evict(self) -> None:
        """Ends the connection."""
        # A shutdown, not a close: the event loop owns the descriptor and sees an end of file.
        with contextlib.suppress(OSError):  # the peer is gone already
            self._connection.shutdown(socket.SHUT_RDWR)

    @property
    def unused_secs(self) -> float:
        """Seconds since the connection may be closed for another; negative if it may not yet."""
        if self._since is None:
            return -1.0
        return time.monotonic() - self._since - (_IDLE_SECS if self._is_proven else _GRACE_SECS)


class Slots:
    """The places for connections of one listener.

    Args:
        limit: number of places.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: set[Slot] = set()
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Returns when a slot is free; ends an unused connection for that if necessary."""
        # Checked each second as well, since a connection becomes unused by the passing of time, which sets no event.
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
        """Makes a slot available for another connection."""
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
    """Address or IPv6 network of the other end; empty for a unix socket, which has none."""
    if connection.family == socket.AF_UNIX:
        return ""
    try:
        host: str = connection.getpeername()[0]
    except OSError:  # gone already
        return ""
    address = ipaddress.ip_address(host.partition("%")[0])
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False) if address.version == 6 else address)


class Peers(Protocol):
    """The protocol that the connections of a listener speak."""

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """Protocol of one connection; it reports to the slot what it does, and ends it when it is over."""
        ...  # pragma: no cover

    async def stop(self, seconds: float) -> None:
        """Ends all connections within that time; work in hand is completed if possible."""
        ...  # pragma: no cover


class Listener:
    """A listener that accepts connections until it is stopped.

    Args:
        bound: its socket, which listens.
        peers: the protocol of its connections.
        max_connections: at the same time.
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
        """Stops accepting and ends all connections; clients that wait at a unix socket of our own are still served."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        # Dovecot has already written events into a connection that waits there; it would lose them. A socket of systemd
        # keeps them for the next collector, and an HTTP client has no answer yet and can retry.
        if self._bound.place is not None:
            self._bound.withdraw()  # before, so that no other client connects
            self._accept_waiting()
        self._bound.close()
        # A TLS handshake could take its 30 s; a connection without one is made at once.
        if self._tls:
            for task in self._connecting:
                task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await self._peers.stop(seconds)

    def _accept_waiting(self) -> None:
        """Accepts all clients in the kernel's queue, also beyond the limit of connections."""
        with contextlib.suppress(OSError):  # BlockingIOError when the queue is empty
            while True:
                connection = self._bound.socket.accept()[0]
                self._connect_soon(connection, Slot(connection))

    async def _accept(self) -> None:
        while True:
            # In this order, so that no connection is closed for another before there is one.
            await self._client_waits()
            await self._slots.wait()
            try:
                connection, _ = self._bound.socket.accept()
            except BlockingIOError:  # the client is gone already
                continue
            except OSError as error:  # such as too many open files; clients stay in the queue
                self._complain(error)
                await asyncio.sleep(_WAIT_SECS)
                continue
            self._is_complaining = False
            self._connect_soon(connection, self._slots.take(connection))

    async def _client_waits(self) -> None:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._bound.socket, came.set)
        try:
            await came.wait()
        finally:
            loop.remove_reader(self._bound.socket)

    def _complain(self, error: OSError) -> None:
        """Prints an error once, until accepting has worked again."""
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
        except OSError:  # the client does not speak TLS, or is gone already
            connection.close()
            slot.end()
        except asyncio.CancelledError:
            connection.close()
            raise
