"""Syslog over TCP with octet counting (RFC 6587), plain or over TLS (RFC 5425).

Neither protocol has an acknowledgement, and what a peer's kernel has acknowledged its daemon may never read. So what
was sent is confirmed in the one way that TCP has: this side ends its half of the connection, and the daemon, when it
has read that end and so all before it, closes its own. If the daemon dies before that, its kernel sends a reset.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final

from dovebeam.transforms.drivers.base import delivery_error
from dovebeam.transforms.drivers.log.settings import SyslogTarget
from dovebeam.transforms.drivers.log.wires import Address, Wire, resolve
from dovebeam.transforms.drivers.sockets import pending_error, send_all, unread_bytes
from dovebeam.transforms.errors import DeliveryError

__all__ = ["TcpWire", "TlsWire", "is_distrust", "open_tcp", "open_tls"]

# As long as the default retry budget: an address that does not answer costs one budget, not several.
_CONNECT_TIMEOUT_MSEC: Final = 10_000
# The largest TLS record, in both directions.
_READ_BYTES: Final = 16 * 1024
# What a daemon sends before it closes may hold a TLS alert; more than this is discarded.
_MAX_ANSWER_BYTES: Final = 64 * 1024
# The counter of unacknowledged bytes has no event, so it is read at least so often, and often once the peer has closed.
_POLL_SECS: Final = 0.5
_POLL_CLOSED_SECS: Final = 0.001


class TcpWire(Wire):
    """A TCP connection. Confirming ends it, so each bundle, and each mebibyte, has one of its own."""

    def send(self, messages: Sequence[bytes]) -> dict[int, str]:
        """See `Wire`. Octet counting has no forbidden byte and no limit, so every message can be sent."""
        self._send_bytes(b"".join(b"%d %b" % (len(message), message) for message in messages))
        return {}

    def confirm(self) -> bool:
        """See `Wire`."""
        self._end_sending()
        self._check_answer(self._read_to_end())
        return False

    def _send_bytes(self, data: bytes) -> None:
        if not send_all(self._socket, data, self._timeout_msec):
            raise self._stalled()

    def _end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def _check_answer(self, answer: bytes) -> None:
        """Looks for an error in what the daemon sent before it closed; over plain TCP there can be none."""

    def _read_to_end(self) -> bytes:
        """Waits for the daemon to close its side, as long as it makes progress; returns what it sent.

        A daemon that stops may close before it has read everything. What it did not read is then never acknowledged,
        but answered with a reset, which the kernel keeps as the socket's error.
        """
        answer = bytearray()
        timeout_secs = math.inf if self._timeout_msec is None else self._timeout_msec / 1000
        since, left = time.monotonic(), unread_bytes(self._socket)
        closed = False
        # Closed is not enough: the close may overtake the acknowledgements, or the reset, of what was sent last.
        while not closed or left:
            closed = closed or self._read_some(answer, min(timeout_secs, _POLL_SECS))
            error = pending_error(self._socket) if closed else None
            if error is not None:
                raise error
            before, left = left, unread_bytes(self._socket)
            if left < before:
                since = time.monotonic()
            elif time.monotonic() - since > timeout_secs:
                raise self._unconfirmed()
            if closed and left:
                time.sleep(_POLL_CLOSED_SECS)
        return bytes(answer)

    def _read_some(self, answer: bytearray, seconds: float) -> bool:
        """Reads for some seconds what the daemon sends; returns whether it has closed its side."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        # Rounded up, for poll cuts the fraction off, and with 0 the loop around this would spin.
        if not poll.poll(seconds * 1000 + 1):
            return False
        data = self._socket.recv(_READ_BYTES)
        answer += data[: _MAX_ANSWER_BYTES - len(answer)]
        return not data

    def _unconfirmed(self) -> DeliveryError:
        message = (
            f"{self._target}: the syslog daemon did not close the connection within {self._timeout_msec} ms after its "
            "end, so it may not have read everything (restart it, or raise log_write_timeout)"
        )
        return DeliveryError(message, str(self._target))


class TlsWire(TcpWire):
    """A TLS connection.

    The socket is read and written here and not by Python's TLS socket, which cannot end its half of a connection and
    still read an alert. But in TLS 1.3 the alert of a server that refuses the client's certificate comes so late.
    """

    def __init__(
        self, sock: socket.socket, target: SyslogTarget, timeout_msec: int | None, context: ssl.SSLContext
    ) -> None:
        super().__init__(sock, target, timeout_msec)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=target.host)

    def shake_hands(self) -> None:
        """Does the TLS handshake.

        Raises:
            DeliveryError: the certificate is not valid for this host, or the server does not speak TLS.
            OSError: the connection broke.
        """
        give_up = time.monotonic() + _CONNECT_TIMEOUT_MSEC / 1000
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    self._receive(give_up)
            self._flush()
        except ssl.SSLCertVerificationError as error:
            raise self._refused(f"its certificate is refused: {error.verify_message}") from error
        except ssl.SSLEOFError as error:
            # A daemon that is just stopping, so this is retried like a lost connection.
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
        except ssl.SSLError as error:
            raise self._refused(f"no TLS connection: {_words(error)}") from error

    def _send_bytes(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:_READ_BYTES]) :]
            # Sent in pieces, so that a large batch is not held a second time in its encrypted form.
            if self._outgoing.pending >= 4 * _READ_BYTES or not rest:
                self._flush()

    def _end_sending(self) -> None:
        self._unwrap()
        self._flush()
        super()._end_sending()

    def _check_answer(self, answer: bytes) -> None:
        self._incoming.write(answer)
        self._incoming.write_eof()
        self._unwrap()

    def _unwrap(self) -> None:
        """Sends TLS's close_notify, and checks what has come from the other side for an alert."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # Many daemons close without a close_notify, and some send data; only an alert means a failure.
            if "ALERT" in (error.reason or ""):
                raise self._refused(f"the server refused the connection: {_words(error)}") from error

    def _flush(self) -> None:
        super()._send_bytes(self._outgoing.read())

    def _receive(self, give_up: float) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(max(0, (give_up - time.monotonic()) * 1000)):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        data = self._socket.recv(_READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _refused(self, why: str) -> DeliveryError:
        advice = "check log_target and the ssl_client_ settings of this exporter"
        return DeliveryError(f"{self._target}: {why} ({advice})", str(self._target))


def open_tcp(target: SyslogTarget, timeout_msec: int | None) -> TcpWire:
    """Opens a TCP connection to the first address of the host that accepts one.

    Raises:
        DeliveryError: no address accepts a connection.
    """
    return TcpWire(_connect(target), target, timeout_msec)


def open_tls(target: SyslogTarget, timeout_msec: int | None, context: ssl.SSLContext) -> TlsWire:
    """Opens a TLS connection, with the handshake done.

    Raises:
        DeliveryError: no address accepts a connection, or the handshake fails.
        OSError: the connection broke during the handshake.
    """
    wire = TlsWire(_connect(target), target, timeout_msec, context)
    try:
        wire.shake_hands()
    except BaseException:
        wire.close()
        raise
    return wire


def is_distrust(error: Exception) -> bool:
    """Whether one side did not accept the other's certificate: worth a retry, since certificates are replaced."""
    cause = error.__cause__
    refused_here = isinstance(cause, ssl.SSLCertVerificationError)
    return refused_here or (isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""))


def _connect(target: SyslogTarget) -> socket.socket:
    # Raised if the host has no address at all; otherwise the error of the last one.
    failed = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, address in resolve(target, socket.SOCK_STREAM):
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            _connect_one(sock, address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise delivery_error("connect", str(target), failed) from failed


def _connect_one(sock: socket.socket, address: Address) -> None:
    number = sock.connect_ex(address)
    if number not in {0, errno.EINPROGRESS}:
        raise OSError(number, os.strerror(number))
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(_CONNECT_TIMEOUT_MSEC):
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    error = pending_error(sock)
    if error is not None:
        raise error


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's error without its code and its place in OpenSSL's source, in which errors would differ."""
    return (error.reason or "unknown error").replace("_", " ").lower()
