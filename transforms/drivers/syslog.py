"""Syslog messages (RFC 5424) over a local socket or UDP (RFC 5426), for the `log` driver.

A daemon may expect the older form on its local socket: rsyslog reads there the priority right but takes "1" for the
program's name, unless its imuxsock has `UseSpecialParser="off" ParseHostname="on"`. By UDP every daemon reads both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.base import Batch, Connection, Failure
from dovebeam.transforms.drivers.system_errors import delivery_error
from dovebeam.transforms.drivers.local_sockets import connect_unix
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["FACILITIES", "SyslogConnection", "SyslogTarget", "parse_target"]

FACILITIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "kern": 0,
        "user": 1,
        "mail": 2,
        "daemon": 3,
        "auth": 4,
        "syslog": 5,
        "lpr": 6,
        "news": 7,
        "uucp": 8,
        "cron": 9,
        "authpriv": 10,
        "ftp": 11,
        **{f"local{number}": 16 + number for number in range(8)},
    }
)
"""The facilities that syslog.conf(5) names, with their codes."""

_SEVERITY_INFO: Final = 6
_APP_NAME: Final = "dovebeam"
_CONNECT_TIMEOUT_MSEC: Final = 1000
_WRITE_TIMEOUT_MSEC: Final = 10_000
_MAX_TRIES: Final = 3
_DAEMON_GONE: Final = frozenset({errno.ECONNREFUSED, errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET})
_SETTING: Final = "event_exporter_log_target"
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%A-Za-z]+)\]|([^/:\s\[\]]+)):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class SyslogTarget:
    """A local socket (`path`), or a server (`host` and `port`) by UDP."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str) -> SyslogTarget:
    """Reads `syslog:/path`, `syslog:HOST:PORT` or `syslog:[IPV6]:PORT`.

    Raises:
        DriverSettingError: it is none of them.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "syslog":
        if rest.startswith("/") and "\0" not in rest:
            return SyslogTarget(path=rest)
        found = _ADDRESS.match(rest)
        if found is not None and 0 < int(found[3]) < 65536:
            return SyslogTarget(host=found[1] or found[2], port=int(found[3]))
    advice = "write nothing for the runner's log, syslog:/dev/log for a socket, or syslog:HOST:PORT for a server"
    raise DriverSettingError(_SETTING, f"{text!r} is no log target; {advice}")


class SyslogConnection(Connection):
    """A socket of a syslog daemon."""

    def __init__(self, target: SyslogTarget, facility: str) -> None:
        super().__init__()
        self._target = target
        self._priority = FACILITIES[facility] * 8 + _SEVERITY_INFO
        self._tail = f" {_host_name()} {_APP_NAME} {os.getpid()} - - ".encode("ascii")
        self._socket: socket.socket | None = None
        self._stream = False

    def _deliver(self, batch: Batch) -> list[Failure]:
        head = f"<{self._priority}>1 ".encode("ascii")
        failures = []
        for index, payload in enumerate(batch.payloads):
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode("ascii")
            reason = self._send_one(head + now + self._tail + payload)
            if reason:
                failures.append(Failure(index, reason, endpoint=str(self._target)))
        return failures

    def flush(self) -> None:
        """Asks the kernel for a pending "port unreachable".

        Raises:
            DeliveryError: there was one: a message sent before was not taken.
        """
        if self._socket is not None:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._disconnect()
                raise delivery_error("send", str(self._target), OSError(number, os.strerror(number)))

    def _send_one(self, message: bytes) -> str:
        """Sends a message; returns why it never can be sent, or an empty string."""
        for left in reversed(range(_MAX_TRIES)):
            try:
                syslog = self._connected()
                if self._stream:
                    if b"\n" in message:
                        return "a line break in the payload cannot be told from the end of the record in a stream"
                    _write_all(syslog, message + b"\n", self._target)
                else:
                    _write_datagram(syslog, message, self._target)
            except OSError as error:
                self._disconnect()
                if error.errno == errno.EMSGSIZE:
                    return "the record does not fit into one datagram, and is not cut"
                # A refused UDP datagram is an earlier one, so that trying again would hide its loss.
                if error.errno not in _DAEMON_GONE or not self._target.path or left == 0:
                    raise delivery_error("send", str(self._target), error) from error
            except BaseException:
                self._disconnect()
                raise
            else:
                break
        return ""

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._connect_local() if self._target.path else _connect_udp(self._target)
        return self._socket

    def _connect_local(self) -> socket.socket:
        """Datagrams, as /dev/log nearly everywhere takes them; a stream where the socket is one."""
        try:
            self._stream = False
            return connect_unix(self._target.path, socket.SOCK_DGRAM, _CONNECT_TIMEOUT_MSEC)
        except DeliveryError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EPROTOTYPE:
                raise
        self._stream = True
        return connect_unix(self._target.path, socket.SOCK_STREAM, _CONNECT_TIMEOUT_MSEC)

    def _disconnect(self) -> None:
        if self._socket is not None:
            syslog, self._socket = self._socket, None
            with contextlib.suppress(OSError):
                syslog.close()

    def _release(self) -> None:
        self._disconnect()


def _connect_udp(target: SyslogTarget) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        message = f"the syslog host {target.host!r} cannot be looked up: {error.strerror or error} (correct {_SETTING})"
        raise DeliveryError(message, str(target)) from error
    failed: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in addresses:
        syslog = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            syslog.setblocking(False)
            # Connected, so that the kernel reports when nobody listens.
            syslog.connect(address)
        except OSError as error:
            syslog.close()
            failed = error
        else:
            return syslog
    raise delivery_error("connect", str(target), failed) from failed


def _write_datagram(syslog: socket.socket, message: bytes, target: SyslogTarget) -> None:
    give_up = time.monotonic() + _WRITE_TIMEOUT_MSEC / 1000
    while True:
        try:
            syslog.send(message, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            _wait(syslog, target)
        except OSError as error:
            # The kernel's queue for the network card; it has no event that tells when there is room.
            if error.errno != errno.ENOBUFS or time.monotonic() > give_up:
                raise
            time.sleep(0.001)
        else:
            return


def _write_all(syslog: socket.socket, line: bytes, target: SyslogTarget) -> None:
    rest = memoryview(line)
    while rest:
        try:
            rest = rest[syslog.send(rest, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            _wait(syslog, target)


def _wait(syslog: socket.socket, target: SyslogTarget) -> None:
    poll = select.poll()
    poll.register(syslog, select.POLLOUT)
    if not poll.poll(_WRITE_TIMEOUT_MSEC):
        message = f"send({target}) failed: the syslog daemon took nothing for {_WRITE_TIMEOUT_MSEC} ms (restart it)"
        raise DeliveryError(message, str(target))


def _host_name() -> str:
    """This machine's name as RFC 5424 wants it: printable ASCII, at most 255 characters, `-` for none."""
    return "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:255] or "-"
