"""Local sockets, for the drivers `unix` and `log`: connecting, sending, and waiting until the other end has read.

A local socket has no acknowledgement, but its kernel knows what the other end has not read yet (SIOCOUTQ), and says
"connection reset" if a stream's other end goes away before it has read all. Together they tell what no protocol does:
whether the listener read every byte.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import random
import select
import socket
import sys
import termios
import time
from typing import Final

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.drivers.base import delivery_error

__all__ = ["AWAY", "PEER_GONE", "connect_unix", "pending_error", "send_all", "unread_bytes", "wait_until_read"]

PEER_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN})
"""What sending to a listener that has closed the connection, or died, comes to."""

AWAY: Final = PEER_GONE | {errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN}
"""The same, and what connecting comes to while a listener is stopped, starting or busy."""

_WORTH_WAITING: Final = frozenset({errno.ECONNREFUSED, errno.EAGAIN})
_CHUNK_BYTES: Final = 65536
_LOOKING: Final = Backoff(0.00005, 0.02, jitter=False)


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


def send_all(peer: socket.socket, data: bytes, timeout_msec: int | None) -> bool:
    """Writes everything to a stream; False if nothing could be written for `timeout_msec` (None waits for ever).

    Raises:
        OSError: the connection broke; any part of the data may have been read.
    """
    rest = memoryview(data)
    poll = select.poll()
    poll.register(peer, select.POLLOUT)
    while rest:
        try:
            rest = rest[peer.send(rest[:_CHUNK_BYTES], socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            if not poll.poll(timeout_msec):
                return False
    return True


def wait_until_read(peer: socket.socket, timeout_msec: int | None) -> bool:
    """Waits until the other end of a local socket has read everything that was sent to it.

    False if it has read nothing for `timeout_msec` (None waits for ever). Nothing wakes whoever waits for this, so it
    is looked for, at first after 50 microseconds, later every 20 ms.

    Raises:
        OSError: the other end of a stream went away and had not read everything.
    """
    timeout_secs = math.inf if timeout_msec is None else timeout_msec / 1000
    give_up = time.monotonic() + timeout_secs
    looks = 0
    unread = unread_bytes(peer)
    while unread:
        looks += 1
        time.sleep(_LOOKING.secs(looks))
        before, unread = unread, unread_bytes(peer)
        if unread < before:
            give_up = time.monotonic() + timeout_secs
        elif time.monotonic() >= give_up:
            return False
    # The kernel sets this before it throws away what was not read, so whoever sees nothing unread sees it as well.
    error = pending_error(peer)
    if error is not None:
        raise error
    return True


def unread_bytes(peer: socket.socket) -> int:
    """What the other end has not read (local sockets, in units of the kernel's memory) or not acknowledged (TCP).

    0 as well where the system does not tell: elsewhere than on Linux.
    """
    count = bytearray(4)
    try:
        fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)


def pending_error(peer: socket.socket) -> OSError | None:
    """The error that the kernel keeps for a socket, which it tells once."""
    number = peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None
