"""The path of a unix socket, of which one collector at a time is the owner.

A lock file beside it says who that is. The socket is made under another name and gets its own once it can be connected
to, so that whoever sees it is heard; and an owner that ends removes no socket but its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator

from dovebeam.pipelines.collect.options import MAX_SOCKET_PATH_BYTES
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import take_lock

__all__ = ["SocketPlace"]


class SocketPlace:
    """A path that this process owns, until it withdraws.

    Args:
        path: absolute.

    Raises:
        DeliveryError: another process owns it or listens there, or something else is there.
        OSError: its directory cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        folder, name = os.path.split(path)
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
                os.unlink(self._new)  # of one that was killed
        except BaseException:
            self._release()
            raise

    def bind(self, bound: socket.socket, mode: int) -> None:
        """Binds a socket, which does not have its name yet.

        Args:
            bound: the socket.
            mode: its permission bits.
        """
        before = os.umask(0o777 & ~mode)
        try:
            with _short(self._new) as path:
                bound.bind(path)
        finally:
            os.umask(before)
        self._mine = os.lstat(self._new)

    def show(self) -> None:
        """Gives the socket its name, in the place of one that nobody listens to."""
        os.rename(self._new, self._path)

    def withdraw(self) -> None:
        """Removes the socket, if it is still the one there, and lets another process have the path."""
        for path in (self._new, self._path):
            with contextlib.suppress(OSError):
                if self._mine is not None and os.path.samestat(self._mine, os.lstat(path)):
                    os.unlink(path)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock_path)
            os.close(self._lock)
            self._lock = None


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """A path that is short enough for the name of a socket."""
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
    """Refuses a path at which something else is than a socket that nobody listens to."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise DeliveryError(f"{path} is there and is not a socket (remove it, or choose another path)", path)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) in {0, errno.EAGAIN}:
            raise _in_use(path)


def _in_use(path: str) -> DeliveryError:
    return DeliveryError(f"another program listens to {path} (stop it, or choose another path)", path)
