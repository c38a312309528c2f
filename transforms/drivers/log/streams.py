"""Syslog over TCP with counted octets (RFC 6587), in the clear or over TLS (RFC 5425).

Neither protocol has an acknowledgement, and what a peer's kernel has acknowledged its daemon may never read. So what
was sent is confirmed in the one way that TCP has: this side ends its half of the connection, and the daemon, when it
has read that end and so all before it, closes its own. A daemon that dies before that makes its kernel send a reset.
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

_CONNECT_TIMEOUT_MSEC: Final = 10_000
_READ_BYTES: Final = 16 * 1024
_MAX_ANSWER_BYTES: Final = 64 * 1024  # of a daemon's last words, read for a TLS alert; the rest is passed over
_LOOK_SECS: Final = 0.5
_ACKNOWLEDGED_SECS: Final = 0.001


class TcpWire(Wire):
    """A TCP connection. It lives until it is confirmed, which ends it."""

    def send(self, messages: Sequence[bytes]) -> dict[int, str]:
        """See `Wire`."""
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
        """What the daemon said last says nothing over plain TCP."""

    def _read_to_end(self) -> bytes:
        """Waits for the daemon to close its side; patient as long as it takes what lies before it.

        A daemon that stops may have closed before it saw all of it. What it did not see is then never acknowledged,
        but answered with a reset, which the kernel keeps as the socket's error.
        """
        answer = bytearray()
        timeout_secs = math.inf if self._timeout_msec is None else self._timeout_msec / 1000
        since, left = time.monotonic(), unread_bytes(self._socket)
        closed = False
        while not closed or left:
            closed = closed or self._read_some(answer, min(timeout_secs, _LOOK_SECS))
            error = pending_error(self._socket) if closed else None
            if error is not None:
                raise error
            before, left = left, unread_bytes(self._socket)
            if left < before:
                since = time.monotonic()
            elif time.monotonic() - since > timeout_secs:
                raise self._unconfirmed()
            if closed and left:
                time.sleep(_ACKNOWLEDGED_SECS)
        return bytes(answer)

    def _read_some(self, answer: bytearray, seconds: float) -> bool:
        """Whether the daemon has closed its side; waits for that, or for words of it, for a while."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
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
    still read a last alert: that of a server that does not accept the client's certificate comes so late.
    """

    def __init__(
        self, sock: socket.socket, target: SyslogTarget, timeout_msec: int | None, context: ssl.SSLContext
    ) -> None:
        super().__init__(sock, target, timeout_msec)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=target.host)

    def shake_hands(self) -> None:
        """Makes the connection a secret and verified one.

        Raises:
            DeliveryError: the server is not who it should be, or does not speak TLS.
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
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error
        except ssl.SSLError as error:
            raise self._refused(f"no TLS connection: {_words(error)}") from error

    def _send_bytes(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest[:_READ_BYTES]) :]
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
        """Says goodbye and hears whether the other side did, or had something to complain of."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # Many daemons close without a goodbye, and some talk; only an alert says that something went wrong.
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
    """A connection to the first address of the host that accepts one.

    Raises:
        DeliveryError: there is none.
    """
    return TcpWire(_connect(target), target, timeout_msec)


def open_tls(target: SyslogTarget, timeout_msec: int | None, context: ssl.SSLContext) -> TlsWire:
    """The same, with the handshake done.

    Raises:
        DeliveryError: there is none, or it is not to be trusted.
        OSError: it broke during the handshake.
    """
    wire = TlsWire(_connect(target), target, timeout_msec, context)
    try:
        wire.shake_hands()
    except BaseException:
        wire.close()
        raise
    return wire


def is_distrust(error: Exception) -> bool:
    """Whether one side did not accept the other's certificate, which passes when that is replaced."""
    cause = error.__cause__
    refused_here = isinstance(cause, ssl.SSLCertVerificationError)
    return refused_here or (isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""))


def _connect(target: SyslogTarget) -> socket.socket:
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
    """What OpenSSL says, without its code and place."""
    return (error.reason or "unknown error").replace("_", " ").lower()
