"""Listeners on local stream sockets and datagram sockets, and on UDP."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from support.programs import HANG_SECS, wait_until


class UnixListener:
    """Accepts connections on a stream socket and keeps what each of them sent.

    Args:
        path: where the socket is made.
        read_limit: close a connection after so many bytes of it were read; 0 for never. The first connection only.
        paused: accept, but read nothing until `resume`.
        backlog: connections that the kernel keeps waiting.
    """

    def __init__(self, path: Path, *, read_limit: int = 0, paused: bool = False, backlog: int = 16) -> None:
        self.received: list[bytearray] = []
        self._read_limit = read_limit
        self._go = threading.Event()
        if not paused:
            self._go.set()
        self._path = path
        self._peers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(backlog)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def data(self) -> bytes:
        """Everything, connection after connection."""
        return b"".join(map(bytes, self.received))

    def wait_for(self, size: int) -> bytes:
        """Everything, as soon as it is so many bytes."""
        wait_until(lambda: len(self.data) >= size, f"{size} bytes at the listener, {len(self.data)} came")
        return self.data

    def resume(self) -> None:
        """Ends the pause."""
        self._go.set()

    def drop_connections(self) -> None:
        """Closes what is connected, and goes on listening."""
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the listener and its connections; the socket's file stays, stale."""
        self._go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        self._thread.join(HANG_SECS)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            self.received.append(bytearray())
            limit = self._read_limit if len(self.received) == 1 else 0
            threading.Thread(target=self._read, args=(peer, self.received[-1], limit), daemon=True).start()

    def _read(self, peer: socket.socket, into: bytearray, limit: int) -> None:
        with peer, contextlib.suppress(OSError):
            self._go.wait(HANG_SECS)
            while not limit or len(into) < limit:
                data = peer.recv(min(65536, limit - len(into)) if limit else 65536)
                if not data:
                    return
                into += data


@contextlib.contextmanager
def run_unix_listener(
    path: Path, *, read_limit: int = 0, paused: bool = False, backlog: int = 16
) -> Iterator[UnixListener]:
    """A `UnixListener` for one test."""
    listener = UnixListener(path, read_limit=read_limit, paused=paused, backlog=backlog)
    try:
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def bound(family: int, address: object) -> Iterator[socket.socket]:
    """A datagram socket that is bound to a path or (host, port)."""
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)  # type: ignore[arg-type]  # either address form of the families used
        receiver.settimeout(HANG_SECS)
        yield receiver
