"""Sockets that accept no more connections than are allowed; whoever comes then waits in the kernel's queue."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from typing import Final, Protocol

from dovebeam.pipelines.collector.options import Address
from dovebeam.pipelines.logs import say
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Listener", "Peers", "bind"]

_BACKLOG: Final = 128
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
    """Accepts connections for `peers`, until it is closed.

    Args:
        address: what it listens to, for messages.
        bound: its socket, from `bind`.
        peers: what is spoken.
        max_connections: at a time.
        tls: for https.
    """

    def __init__(
        self,
        address: Address,
        bound: socket.socket,
        peers: Peers,
        max_connections: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._address = address
        self._socket = bound
        self._peers = peers
        self._free = asyncio.Semaphore(max_connections)
        self._tls = tls
        self._accepting = asyncio.create_task(self._accept())
        self._handshakes: set[asyncio.Task[None]] = set()

    async def stop(self, seconds: float) -> None:
        """Accepts no more, and ends what is connected."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._socket.close()
        if self._address.path:
            with contextlib.suppress(OSError):
                os.unlink(self._address.path)
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self._peers.stop(seconds)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError as error:  # such as too many open files; what waits in the queue waits on
                self._free.release()
                say(f"{delivery_error('accept', str(self._address), error)}")
                await asyncio.sleep(_WAIT_SECS)
                continue
            task = asyncio.create_task(self._connect(connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _connect(self, connection: socket.socket) -> None:
        """Every connection gives its place back once, however it ends."""
        ended = _Once(self._free.release)
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


def bind(address: Address, socket_mode: int) -> list[socket.socket]:
    """Sockets that listen there: one, or for a name of a host one for each of its addresses.

    Args:
        address: where.
        socket_mode: permission bits of a unix socket.

    Raises:
        DeliveryError: it is in use, or cannot be had.
    """
    try:
        if address.path:
            return [_bind_unix(address.path, socket_mode)]
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bind_tcp(family, where) for family, _, _, _, where in dict.fromkeys(found)]
    except OSError as error:
        raise delivery_error("bind", str(address), error) from error


def _bind_unix(path: str, mode: int) -> socket.socket:
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~mode)
    try:
        bound.bind(path)
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound


def _remove_stale(path: str) -> None:
    """Removes a socket that nobody listens to; whatever else is there stays, and makes binding fail."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        number = probe.connect_ex(path)
    if number == errno.ECONNREFUSED:
        os.unlink(path)
    elif number in {0, errno.EAGAIN}:
        message = f"another program listens to {path} (stop it, or choose another path)"
        raise DeliveryError(message, path)


def _bind_tcp(family: int, where: object) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)  # type: ignore[arg-type]  # what getaddrinfo gave for this family
    except BaseException:
        bound.close()
        raise
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound
