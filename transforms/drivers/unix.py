"""The `unix` driver: one line per event, into a local stream socket.

Rules from Dovecot's section "Export drivers", "Unix socket": connected for the first batch and after an error; a full
or refused socket is tried again after 10 to 100 ms until `unix_connect_timeout` has passed, any other error is final.
Where Dovecot's full buffer cuts lines and drops events without a word, this driver waits for the listener.
"""

from __future__ import annotations

import contextlib
import errno
import math
import random
import select
import socket
import time
from dataclasses import dataclass
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, DriverName, Failure
from dovebeam.transforms.drivers.system_errors import check_path, delivery_error
from dovebeam.transforms.errors import DeliveryError

__all__ = ["UnixConnection", "UnixDriver", "connect_unix"]

_WORTH_WAITING: Final = frozenset({errno.ECONNREFUSED, errno.EAGAIN})
_PEER_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN})
_MAX_TRIES: Final = 5
_CHUNK_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class UnixDriver(Driver):
    """Sends each payload and a newline to the listener of a stream socket.

    Attributes:
        unix_path: `event_exporter_unix_path`.
        unix_connect_timeout_msec: `event_exporter_unix_connect_timeout`; None waits for ever.
        unix_write_timeout_msec: how long the listener may take not a single byte, an extension; None waits for ever.

    Parallelism: any number of connections; each is one stream of its own, ordered in itself.

    Delivery: at least once into the socket of a listener that was there; the protocol has no acknowledgement, so what
    the listener has not read when it dies is lost. If it goes away within a batch, the whole batch is sent again over a
    new connection, from its first line, so no connection ever begins inside a line. No listener, or one that stops
    reading, raises `DeliveryError`.
    """

    unix_path: str
    unix_connect_timeout_msec: int | None = 250
    unix_write_timeout_msec: int | None = 60_000

    name: ClassVar[DriverName] = "unix"

    def __post_init__(self) -> None:
        check_path("event_exporter_unix_path", self.unix_path)

    @property
    def endpoint(self) -> str:
        """The path of the socket."""
        return self.unix_path

    def open(self) -> UnixConnection:
        """A connection that connects when the first batch comes."""
        return UnixConnection(self)


class UnixConnection(Connection):
    """The connected socket."""

    def __init__(self, driver: UnixDriver) -> None:
        super().__init__()
        self._driver = driver
        self._socket: socket.socket | None = None

    def _deliver(self, batch: Batch) -> list[Failure]:
        lines = b"\n".join([*batch.payloads, b""])
        for left in reversed(range(_MAX_TRIES)):
            try:
                peer = self._connected()
                self._write(peer, lines)
            except DeliveryError:
                self._disconnect()
                raise
            except OSError as error:
                self._disconnect()
                if error.errno not in _PEER_GONE or left == 0:
                    raise delivery_error("write", self._driver.unix_path, error) from error
            except BaseException:
                # Part of a line may be out; only a new connection begins with a whole one.
                self._disconnect()
                raise
            else:
                break
        return []

    def _connected(self) -> socket.socket:
        """The socket, connected anew if there is none or if its peer has closed it since the last batch."""
        if self._socket is not None and _peer_closed(self._socket):
            self._disconnect()
        if self._socket is None:
            driver = self._driver
            self._socket = connect_unix(driver.unix_path, socket.SOCK_STREAM, driver.unix_connect_timeout_msec)
        return self._socket

    def _write(self, peer: socket.socket, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            try:
                rest = rest[peer.send(rest[:_CHUNK_BYTES], socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait_for_reader(peer)

    def _wait_for_reader(self, peer: socket.socket) -> None:
        poll = select.poll()
        poll.register(peer, select.POLLOUT)
        timeout = self._driver.unix_write_timeout_msec
        if not poll.poll(timeout):
            path = self._driver.unix_path
            message = (
                f"write({path}) failed: the listener has read nothing for {timeout} ms (make it read, or restart it)"
            )
            raise DeliveryError(message, path)

    def _disconnect(self) -> None:
        if self._socket is not None:
            peer, self._socket = self._socket, None
            with contextlib.suppress(OSError):
                peer.close()

    def _release(self) -> None:
        self._disconnect()


def connect_unix(path: str, kind: socket.SocketKind, timeout_msec: int | None) -> socket.socket:
    """Connects a non-blocking local socket, waiting for a listener that is there but refuses or is busy.

    Args:
        path: the socket.
        kind: SOCK_STREAM or SOCK_DGRAM.
        timeout_msec: how long to go on trying, None for ever.

    Raises:
        DeliveryError: no connection; the text names call, path and remedy.
    """
    give_up = math.inf if timeout_msec is None else time.monotonic() + timeout_msec / 1000
    while True:
        peer = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
        try:
            peer.setblocking(False)
            peer.connect(path)
        except OSError as error:
            peer.close()
            left = give_up - time.monotonic()
            if error.errno not in _WORTH_WAITING or left <= 0:
                raise delivery_error("connect", path, error) from error
            time.sleep(min(left, random.uniform(0.010, 0.100)))  # noqa: S311  Dovecot's spread, no secret
        except BaseException:
            peer.close()
            raise
        else:
            return peer


def _peer_closed(peer: socket.socket) -> bool:
    """Whether the other end is gone; what it may have written is thrown away, as nothing is expected from it."""
    try:
        for _ in range(16):
            if not peer.recv(_CHUNK_BYTES, socket.MSG_DONTWAIT):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
