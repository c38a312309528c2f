"""Listeners that accept no more connections than are allowed; whoever comes then waits in the kernel's queue.

See `slots` for those that are closed when somebody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final, Protocol

from dovebeam.pipelines.collect.slots import Slot, Slots
from dovebeam.pipelines.collect.sockets import Bound
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["Listener", "Peers"]

_WAIT_SECS: Final = 1.0
_HANDSHAKE_SECS: Final = 30.0
_SHUTDOWN_SECS: Final = 5.0


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
