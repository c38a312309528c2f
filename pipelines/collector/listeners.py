"""Listeners that accept no more connections than are allowed; whoever comes then waits in the kernel's queue."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from dovebeam.pipelines.collector.sockets import Bound
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.drivers.system_errors import delivery_error

__all__ = ["Listener", "Peers"]

_WAIT_SECS: Final = 1.0
_HANDSHAKE_SECS: Final = 30.0


class Peers(Protocol):
    """What the connections of a listener speak."""

    def protocol(self, ended: Callable[[], None]) -> asyncio.Protocol:
        """For one connection; calls `ended` once it is over."""
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
        self._free = asyncio.Semaphore(max_connections)
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
                self._connect_soon(self._bound.socket.accept()[0], lambda: None)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, _ = await loop.sock_accept(self._bound.socket)
            except OSError as error:  # such as too many open files; what waits in the queue waits on
                self._free.release()
                self._complain(error)
                await asyncio.sleep(_WAIT_SECS)
                continue
            self._is_complaining = False
            self._connect_soon(connection, _Once(self._free.release))

    def _complain(self, error: OSError) -> None:
        """Once for each time that the trouble begins."""
        if not self._is_complaining:
            self._is_complaining = True
            say(str(delivery_error("accept", str(self._bound.address), error)))

    def _connect_soon(self, connection: socket.socket, ended: Callable[[], None]) -> None:
        connection.setblocking(False)
        task = asyncio.create_task(self._connect(connection, ended))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, ended: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: self._peers.protocol(ended),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECS if self._tls else None,
            )
        except OSError:  # no TLS, or gone already
            connection.close()
            ended()
        except asyncio.CancelledError:
            connection.close()
            raise


class _Once:
    """A function that does something the first time it is called."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()
