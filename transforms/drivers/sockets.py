"""Sockets of the drivers `unix` and `log`: connecting, sending, and waiting until the other end has read.

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
"""Errors of sending to a listener that has closed the connection, or died."""

AWAY: Final = PEER_GONE | {errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN}
"""The same, and the errors of connecting while a listener is stopped, starting or busy."""

# The two after which Dovecot tries again within `unix_connect_timeout`; all others are final.
_WORTH_WAITING: Final = frozenset({errno.ECONNREFUSED, errno.EAGAIN})
# In pieces, so that a timeout counts from the last progress and not from the start of a large batch.
_CHUNK_BYTES: Final = 65536
# The kernel has no event for "read": polled at first often, as most listeners read at once, then every 20 ms.
_POLLING: Final = Backoff(0.00005, 0.02, jitter=False)
_RANDOM: Final = random.SystemRandom()  # leaves the state of the process alone, as in backoff


def connect_unix(path: str, kind: socket.SocketKind, timeout_msec: int | None) -> socket.socket:
    """Connects a non-blocking local socket, waiting for a listener that is there but refuses or is busy.

    Args:
        path: the socket.
        kind: SOCK_STREAM or SOCK_DGRAM.
        timeout_msec: how long to go on trying, None for forever.

    Raises:
        DeliveryError: no connection; the text names call, path and remedy.
    """
    give_up = math.inf if timeout_msec is None else time.monotonic() + timeout_msec / 1000
    while True:
        # A new socket each time: one whose connect failed is in a state that POSIX leaves open.
        peer = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
        try:
            peer.setblocking(False)
            peer.connect(path)
        except OSError as error:
            peer.close()
            left = give_up - time.monotonic()
            if error.errno not in _WORTH_WAITING or left <= 0:
                raise delivery_error("connect", path, error) from error
            time.sleep(min(left, _RANDOM.uniform(0.010, 0.100)))  # Dovecot's spread
        except BaseException:
            peer.close()
            raise
        else:
            return peer


def send_all(peer: socket.socket, data: bytes, timeout_msec: int | None) -> bool:
    """Writes everything to a stream; False if nothing could be written for `timeout_msec` (None waits forever).

    Raises:
        OSError: the connection broke; any part of the data may have been read.
    """
    rest = memoryview(data)
    poll = select.poll()
    poll.register(peer, select.POLLOUT)
    while rest:
        try:
            # MSG_NOSIGNAL: a program that embeds dovebeam may not ignore SIGPIPE as Python does.
            rest = rest[peer.send(rest[:_CHUNK_BYTES], socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            if not poll.poll(timeout_msec):
                return False
    return True


def wait_until_read(peer: socket.socket, timeout_msec: int | None) -> bool:
    """Waits until the other end of a local socket has read everything that was sent to it.

    False if it has read nothing for `timeout_msec` (None waits forever).

    Raises:
        OSError: the other end of a stream went away and had not read everything.
    """
    timeout_secs = math.inf if timeout_msec is None else timeout_msec / 1000
    give_up = time.monotonic() + timeout_secs
    polls = 0
    unread = unread_bytes(peer)
    while unread:
        polls += 1
        time.sleep(_POLLING.secs(polls))
        before, unread = unread, unread_bytes(peer)
        # A slow listener is waited for as long as it makes progress.
        if unread < before:
            give_up = time.monotonic() + timeout_secs
        elif time.monotonic() >= give_up:
            return False
    # The kernel sets the error before it throws away what was not read, so 0 unread bytes without it mean "read".
    error = pending_error(peer)
    if error is not None:
        raise error
    return True


def unread_bytes(peer: socket.socket) -> int:
    """Bytes that the other end has not read (local sockets, in units of the kernel's memory) or not acknowledged (TCP).

    Also 0 where the system does not tell, which only Linux does.
    """
    # SIOCOUTQ, which Linux also calls TIOCOUTQ, fills a C int.
    count = bytearray(4)
    try:
        fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)


def pending_error(peer: socket.socket) -> OSError | None:
    """The error that the kernel keeps for a socket; reading it clears it."""
    number = peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None
