"""The sockets that a collector listens on: bound by itself, or handed over by systemd.

A socket that systemd holds (a `.socket` unit) outlives the collector: while it is restarted, Dovecot's connections and
what they send wait in the kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from typing import Final

from dovebeam.pipelines.collector.options import Address
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Bound", "bind"]

_BACKLOG: Final = 128
_FIRST_FD: Final = 3  # of those that systemd hands over, see sd_listen_fds(3)


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket.

    Attributes:
        socket: without blocking.
        is_lent: whether somebody else keeps it open.
    """

    socket: socket.socket
    is_lent: bool = False


def bind(address: Address, socket_mode: int) -> list[Bound]:
    """Sockets that listen there: those that systemd lent for it, else one, or for a name one for each of its addresses.

    Args:
        address: where.
        socket_mode: permission bits of a unix socket.

    Raises:
        DeliveryError: it is in use, or cannot be had.
    """
    try:
        lent = [Bound(each, is_lent=True) for each in _lent_sockets() if _is_at(each, address)]
        if lent:
            return lent
        if address.path:
            return [Bound(_bind_unix(address.path, socket_mode))]
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [Bound(_bind_tcp(family, where)) for family, _, _, _, where in dict.fromkeys(found)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"another program listens to {address} (stop it, or choose another port)"
            raise DeliveryError(message, str(address)) from error
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
    """Removes a socket that nobody listens to; whatever else is there stays."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise DeliveryError(f"{path} is there and is no socket (remove it, or choose another path)", path)
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


def _lent_sockets() -> list[socket.socket]:
    """Those that systemd handed to this process; each call gives the same descriptors."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    lent = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count) if count.isdecimal() else _FIRST_FD):
        os.set_inheritable(fd, False)
        each = socket.socket(fileno=os.dup(fd))
        each.setblocking(False)
        lent.append(each)
    return lent


def _is_at(lent: socket.socket, address: Address) -> bool:
    name = lent.getsockname()
    if lent.family == socket.AF_UNIX:
        return bool(address.path and name == address.path)
    return not address.path and (name[0], name[1]) == (address.host, address.port)
