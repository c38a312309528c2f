"""Connections to a syslog daemon (`Wire`): their interface, and those by local sockets and by UDP (RFC 5426)."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.log.settings import SETTING, SyslogTarget
from dovebeam.transforms.drivers.sockets import connect_unix, pending_error, send_all, wait_until_read
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Address", "DatagramWire", "LocalStreamWire", "UdpWire", "Wire", "open_local", "open_udp", "resolve"]

# Longer than Dovecot's 250 ms for `unix`: a daemon that is busy for a moment is not a failure. For one that is away
# there is the retry budget.
_LOCAL_CONNECT_TIMEOUT_MSEC: Final = 1000
# A network queue that stays full for so long is not busy but stuck.
_NETWORK_QUEUE_SECS: Final = 10.0
Address = tuple[Any, ...]
"""The address of an IPv4 or IPv6 socket."""

_TOO_LARGE: Final = "the record does not fit into one datagram, and is not cut"
_TORN: Final = "the payload has a line break, which would end its record in a stream of lines"


class Wire(ABC):
    """One connected socket to a syslog daemon.

    Attributes:
        window_bytes: how many bytes may be sent before `confirm` is called; None: it is called when a bundle ends.
        repeats: whether what was not confirmed is sent again over the next wire. Where nothing tells what arrived, that
            would be guessing, and hide the loss.
    """

    window_bytes: ClassVar[int | None] = 1024 * 1024
    repeats: ClassVar[bool] = True

    def __init__(self, sock: socket.socket, target: SyslogTarget, timeout_msec: int | None) -> None:
        self._socket = sock
        self._target = target
        self._timeout_msec = timeout_msec

    @abstractmethod
    def send(self, messages: Sequence[bytes]) -> dict[int, str]:
        """Sends messages; returns for each that can never be sent the reason, by its index.

        Raises:
            OSError: the connection broke; any of the messages may have arrived.
            DeliveryError: the daemon stopped reading.
        """

    @abstractmethod
    def confirm(self) -> bool:
        """Waits until the daemon has read what was sent, as far as that can be known.

        Returns:
            Whether the wire can still be used.

        Raises:
            OSError: the daemon went away before that.
            DeliveryError: the daemon does not read.
        """

    def close(self) -> None:
        """Closes the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _stalled(self) -> DeliveryError:
        message = f"send({self._target}) failed: the daemon read nothing for {self._timeout_msec} ms (restart it)"
        return DeliveryError(message, str(self._target))


class LocalStreamWire(Wire):
    """A local stream socket: one line a record."""

    def send(self, messages: Sequence[bytes]) -> dict[int, str]:
        """See `Wire`."""
        # Daemons read lines from local streams; octet counting (RFC 6587) is for TCP.
        torn = {index: _TORN for index, message in enumerate(messages) if b"\n" in message}
        lines = b"".join(message + b"\n" for index, message in enumerate(messages) if index not in torn)
        if not send_all(self._socket, lines, self._timeout_msec):
            raise self._stalled()
        return torn

    def confirm(self) -> bool:
        """See `Wire`."""
        if not wait_until_read(self._socket, self._timeout_msec):
            raise self._stalled()
        return True


class DatagramWire(Wire):
    """A local datagram socket: one datagram a record."""

    def send(self, messages: Sequence[bytes]) -> dict[int, str]:
        """See `Wire`."""
        refused = {}
        for index, message in enumerate(messages):
            try:
                self._send_one(message)
            except OSError as error:
                # The limit is the receiver's or the network's, so only sending tells.
                if error.errno != errno.EMSGSIZE:
                    raise
                refused[index] = _TOO_LARGE
        return refused

    def confirm(self) -> bool:
        """See `Wire`. The kernel does not tell of a daemon that was killed with datagrams unread."""
        if not wait_until_read(self._socket, self._timeout_msec):
            raise self._stalled()
        return True

    def _send_one(self, message: bytes) -> None:
        give_up = time.monotonic() + _NETWORK_QUEUE_SECS
        while True:
            try:
                self._socket.send(message, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._wait_for_room()
            except OSError as error:
                # The kernel's queue for the network card is full; there is no event for room in it.
                if error.errno != errno.ENOBUFS or time.monotonic() > give_up:
                    raise
                time.sleep(0.001)
            else:
                return

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        if not poll.poll(self._timeout_msec):
            raise self._stalled()


class UdpWire(DatagramWire):
    """A UDP socket: one datagram a record. The only sign of trouble is "port unreachable", for an earlier datagram."""

    # Confirming costs one system call and tells little, so a bundle's end is often enough.
    window_bytes: ClassVar[int | None] = None
    repeats: ClassVar[bool] = False

    def confirm(self) -> bool:
        """Asks the kernel for a pending "port unreachable"."""
        error = pending_error(self._socket)
        if error is not None:
            raise error
        return True


def open_local(target: SyslogTarget, timeout_msec: int | None) -> Wire:
    """Connects to a local socket: for datagrams, as nearly every /dev/log is, or else for a stream.

    Raises:
        DeliveryError: no connection.
    """
    try:
        sock = connect_unix(target.path, socket.SOCK_DGRAM, _LOCAL_CONNECT_TIMEOUT_MSEC)
        return DatagramWire(sock, target, timeout_msec)
    except DeliveryError as error:
        # EPROTOTYPE is how a socket of the other kind answers; a file's mode does not tell the kinds apart.
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EPROTOTYPE:
            raise
    sock = connect_unix(target.path, socket.SOCK_STREAM, _LOCAL_CONNECT_TIMEOUT_MSEC)
    return LocalStreamWire(sock, target, timeout_msec)


def open_udp(target: SyslogTarget, timeout_msec: int | None) -> Wire:
    """Opens a UDP socket. It is connected, so that the kernel reports when no process listens on the port.

    Raises:
        DeliveryError: the host is unknown, or there is no route to it.
    """
    failed = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, address in resolve(target, socket.SOCK_DGRAM):
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return UdpWire(sock, target, timeout_msec)
    raise delivery_error("connect", str(target), failed) from failed


def resolve(target: SyslogTarget, kind: socket.SocketKind) -> list[tuple[socket.AddressFamily, Address]]:
    """The addresses of a host, in the order in which to try them (RFC 6724).

    Raises:
        DeliveryError: the look-up failed.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=kind)
    except OSError as error:
        message = f"the syslog host {target.host!r} cannot be looked up: {error.strerror or error} (correct {SETTING})"
        raise DeliveryError(message, str(target)) from error
    return [(family, address) for family, _, _, _, address in found]
