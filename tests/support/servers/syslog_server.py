"""A syslog server by TCP or TLS on loopback, and a reader of its frames that shares nothing with the driver."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from support.programs import HANG_SECS, wait_until
from support.servers.certificates import common_name


@dataclass(frozen=True)
class Message:
    """The parts of a message of RFC 5424 without structured data."""

    priority: int
    timestamp: str
    host: str
    app: str
    process: str
    text: bytes


def split_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The messages of a stream with counted octets (RFC 6587, 3.4.1), and the beginning of one that is not complete."""
    frames = []
    while data:
        digits = data[: data.find(b" ") if b" " in data[:11] else 0]
        if not digits.isdigit() or digits.startswith(b"0"):
            assert data[:10].isdigit(), f"no length at {data[:40]!r}"
            break
        begin = len(digits) + 1
        end = begin + int(digits)
        if end > len(data):
            break
        frames.append(data[begin:end])
        data = data[end:]
    return frames, data


def parse_message(message: bytes) -> Message:
    """Reads a message: <PRI>1 TIMESTAMP HOST APP PROCID MSGID SD TEXT."""
    head, timestamp, host, app, process, identity, structured, text = message.split(b" ", 7)
    assert head[:1] == b"<"
    assert head[-2:] == b">1"
    assert (identity, structured) == (b"-", b"-")
    return Message(int(head[1:-2]), timestamp.decode(), host.decode(), app.decode(), process.decode(), text)


class SyslogServer:
    """Accepts connections and keeps what each of them sent; closes its side when it has read the end of the other.

    Args:
        context: for TLS; as an attribute it may be replaced at any time, for connections that come then.
        read_limit: close the first connection after so many bytes were read, with what else came unread; 0: never.
        clean: close it without a reset, as a daemon that stops.
        paused: read nothing until `resume`.
        deaf: never close, whatever the other side does.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        read_limit: int = 0,
        clean: bool = False,
        paused: bool = False,
        deaf: bool = False,
    ) -> None:
        self.received: list[bytearray] = []
        self.errors: list[Exception] = []
        self.connections = 0
        self.clients: list[str] = []  # the CNs of the certificates that were shown
        self.context = context
        self._read_limit = read_limit
        self._clean = clean
        self._deaf = deaf
        self._go = threading.Event()
        self._stop = threading.Event()
        if not paused:
            self._go.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Ends the pause."""
        self._go.set()

    def frames(self) -> list[bytes]:
        """All complete messages, connection after connection."""
        return [frame for data in list(self.received) for frame in split_frames(bytes(data))[0]]

    def texts(self) -> list[bytes]:
        """The texts of all complete messages."""
        return [parse_message(frame).text for frame in self.frames()]

    def wait_for(self, count: int) -> list[bytes]:
        """The texts, as soon as there are so many."""
        wait_until(lambda: len(self.frames()) >= count, f"{count} messages, {len(self.frames())} came")
        return self.texts()

    def close(self) -> None:
        """Ends the server."""
        self._go.set()
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(HANG_SECS)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            if self.context is not None:
                peer = self.context.wrap_socket(peer, server_side=True)
                self.clients.append(common_name(peer))
            self._read(peer)
        except OSError as error:
            self.errors.append(error)
        finally:
            peer.close()

    def _read(self, peer: socket.socket) -> None:
        into = bytearray()
        self.received.append(into)
        limit = self._read_limit if len(self.received) == 1 else 0
        self._go.wait(HANG_SECS)
        while not limit or len(into) < limit:
            data = peer.recv(min(65536, limit - len(into)) if limit else 65536)
            if not data:
                if self._deaf:
                    self._stop.wait(HANG_SECS)
                return
            into += data
        if not self._clean:  # as a process that is killed: the kernel resets the connection
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def run_syslog_server(
    context: ssl.SSLContext | None = None,
    *,
    read_limit: int = 0,
    clean: bool = False,
    paused: bool = False,
    deaf: bool = False,
) -> Iterator[SyslogServer]:
    """A `SyslogServer` for one test."""
    server = SyslogServer(context, read_limit=read_limit, clean=clean, paused=paused, deaf=deaf)
    try:
        yield server
    finally:
        server.close()
