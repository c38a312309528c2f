"""Sockets that a collector listens on: bound by itself, or passed by systemd.

A socket of systemd (a `.socket` unit) outlives the collector: during a restart Dovecot's connections and what they send
wait in the kernel. The path of a unix socket of our own has one owner at a time, who holds a lock file beside it. The
socket is made under a temporary name and renamed once it listens, so that every client that finds it can connect. An
owner that ends removes only its own socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dovebeam.pipelines.collect.options import MAX_SOCKET_PATH_BYTES, Address
from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import take_lock

__all__ = ["Bound", "SocketPlace", "bind", "listen"]

_BACKLOG: Final = 128
_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


class SocketPlace:
    """Path of a unix socket that this process owns until it withdraws.

    Args:
        path: absolute.

    Raises:
        DeliveryError: another process owns the path or listens there, or it is not a socket.
        OSError: its directory cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        folder, name = os.path.split(path)
        # In the same directory, because a rename cannot cross file systems.
        self._new = os.path.join(folder, f".{name}.new")
        self._lock_path = os.path.join(folder, f".{name}.lock")
        try:
            self._lock: int | None = take_lock(self._lock_path)
        except OSError as error:
            raise delivery_error("open", self._lock_path, error) from error
        if self._lock is None:
            raise _in_use(path)
        self._mine: os.stat_result | None = None
        try:
            _check(path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._new)  # left by a collector that was killed
        except BaseException:
            self._release()
            raise

    def bind(self, bound: socket.socket, mode: int) -> None:
        """Binds a socket under the temporary name.

        Args:
            bound: the socket.
            mode: its permission bits.
        """
        # By umask, since a chmod afterwards would leave a moment in which any user could connect.
        before = os.umask(0o777 & ~mode)
        try:
            with _short(self._new) as path:
                bound.bind(path)
        finally:
            os.umask(before)
        self._mine = os.lstat(self._new)

    def show(self) -> None:
        """Gives the socket its final name; replaces a stale socket there."""
        os.rename(self._new, self._path)

    def withdraw(self) -> None:
        """Removes the socket and gives the path up."""
        # Compared by inode: an administrator may have removed ours, and another program may have bound its own.
        for path in (self._new, self._path):
            with contextlib.suppress(OSError):
                if self._mine is not None and os.path.samestat(self._mine, os.lstat(path)):
                    os.unlink(path)
        self._release()

    def _release(self) -> None:
        # The file goes before the lock: afterwards it could be one that the next owner has just made.
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock_path)
            os.close(self._lock)
            self._lock = None


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """A path of at most `MAX_SOCKET_PATH_BYTES` for the same file."""
    # The temporary name is longer than the socket's own, which was checked. /proc leads to it by a short path.
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        yield path
        return
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def _check(path: str) -> None:
    """Refuses a path at which there is a file, or a socket in use; a stale socket is accepted."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise DeliveryError(f"{path} is there and is not a socket (remove it, or choose another path)", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        # EAGAIN: a program listens there, but its queue is full.
        if probe.connect_ex(path) in {0, errno.EAGAIN}:
            raise _in_use(path)


def _in_use(path: str) -> DeliveryError:
    return DeliveryError(f"another program listens to {path} (stop it, or choose another path)", path)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound socket.

    Attributes:
        socket: in non-blocking mode.
        address: that it is bound to.
        is_lent: whether it is a socket of systemd, which listens already.
        place: the path of a unix socket of our own, else None.
    """

    socket: socket.socket
    address: Address
    is_lent: bool = False
    place: SocketPlace | None = None

    def withdraw(self) -> None:
        """Lets no other client connect; the socket stays open for those that wait in its queue."""
        if self.place is not None:
            self.place.withdraw()

    def close(self) -> None:
        """Closes the socket and gives the address up."""
        self.withdraw()
        self.socket.close()


def bind(address: Address, socket_mode: int) -> list[Bound]:
    """Sockets for an address: those of systemd, else one, or for a host name one for each of its IP addresses.

    Args:
        address: to bind.
        socket_mode: permission bits of a unix socket.

    Raises:
        DeliveryError: the address is in use or cannot be bound.
    """
    with _explained(address):
        lent = [Bound(each, address, is_lent=True) for each in _lent_sockets() if _is_at(each, address)]
        if lent:
            return lent
        if address.path:
            return [_bind_unix(address, socket_mode)]
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # The stack closes the sockets that are bound already if a later one fails.
        with contextlib.ExitStack() as bound:
            sockets = [bound.enter_context(_bind_tcp(family, where)) for family, _, _, _, where in dict.fromkeys(found)]
            bound.pop_all()
        return [Bound(each, address) for each in sockets]


def listen(bound: Sequence[Bound]) -> None:
    """Listens on all addresses, and then gives unix sockets their names.

    Raises:
        DeliveryError: one of the addresses is in use.
    """
    # Two passes: a visible unix socket means that the collector listens on all of its addresses.
    for each in bound:
        with _explained(each.address):
            if not each.is_lent:
                each.socket.listen(_BACKLOG)
    for each in bound:
        with _explained(each.address):
            if each.place is not None:
                each.place.show()


@contextlib.contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"another program listens to {address} (stop it, or choose another port)"
            raise DeliveryError(message, str(address)) from error
        raise delivery_error("bind", str(address), error) from error


def _bind_unix(address: Address, mode: int) -> Bound:
    place = SocketPlace(address.path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        place.bind(bound, mode)
    except BaseException:
        bound.close()
        place.withdraw()
        raise
    bound.setblocking(False)
    return Bound(bound, address, place=place)


def _bind_tcp(family: int, where: object) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait until old connections have left TIME_WAIT.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A host name such as localhost has an IPv4 socket of its own, which the IPv6 one must not claim as well.
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)  # type: ignore[arg-type]  # what getaddrinfo gave for this family
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _lent_sockets() -> list[socket.socket]:
    """Duplicates of the sockets that systemd passed to this process."""
    # The protocol of sd_listen_fds(3); LISTEN_PID of another process means that the variables were inherited.
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    lent = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count) if count.isdecimal() else _FIRST_FD):
        # Duplicated, since each address looks at all of them and closes its own.
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
