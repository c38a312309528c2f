"""The syslog connection of the `log` driver: sends messages (RFC 5424), and sends them again until they were read.

A daemon may expect the older form (RFC 3164) on its local socket: there rsyslog reads the priority right but takes "1"
for the program's name, unless its imuxsock has `UseSpecialParser="off" ParseHostname="on"`. Over a network every daemon
reads both.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Final

from dovebeam.transforms.drivers.backoff import RetryBudget
from dovebeam.transforms.drivers.base import Batch, Connection, Failure, delivery_error, error_number
from dovebeam.transforms.drivers.log.settings import FACILITIES, LogSettings, parse_target
from dovebeam.transforms.drivers.log.streams import is_distrust, open_tcp, open_tls
from dovebeam.transforms.drivers.log.tls import RenewedContext
from dovebeam.transforms.drivers.log.wires import Wire, open_local, open_udp
from dovebeam.transforms.drivers.rate_limit import portions, shared_bucket
from dovebeam.transforms.drivers.sockets import AWAY
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.values import format_rfc3339

__all__ = ["SyslogConnection"]

_SEVERITY_INFO: Final = 6
_APP_NAME: Final = "dovebeam"


class SyslogConnection(Connection):
    """A connection to a syslog daemon, and the messages that the daemon has not confirmed.

    Unconfirmed messages, about a mebibyte at most and one batch, are kept and sent again when the connection breaks.
    After a `DeliveryError` they are forgotten: the bundle failed, and will bring them again.

    Raises:
        DeliveryError: a file that TLS needs cannot be used.
    """

    def __init__(self, settings: LogSettings) -> None:
        super().__init__()
        self._target = parse_target(settings.log_target)
        self._write_timeout_msec = settings.log_write_timeout_msec
        self._retry_budget_msec = settings.log_retry_budget_msec
        self._priority = FACILITIES[settings.log_facility] * 8 + _SEVERITY_INFO
        self._tail = f" {_host_name()} {_APP_NAME} {os.getpid()} - - ".encode("ascii")
        rate = settings.log_rate_limit
        # One bucket a target: all connections of this process write to the same log.
        self._bucket = shared_bucket(f"log:{self._target}", rate) if rate else None
        self._tls = RenewedContext(settings) if self._target.transport == "tls" else None
        self._wire: Wire | None = None
        self._unconfirmed: list[bytes] = []
        self._unconfirmed_bytes = 0

    def flush(self) -> None:
        """Waits until the daemon has read everything, as far as the transport can tell.

        Raises:
            DeliveryError: the daemon did not read everything.
        """
        if self._wire is not None or self._unconfirmed:
            self._until_done(())

    def deliver(self, batch: Batch) -> list[Failure]:
        """Sends each payload as a message, at the rate that is allowed."""
        failures = []
        for portion in portions(self._bucket, len(batch.payloads)):
            refused = self._until_done(self._messages(batch.payloads[index] for index in portion))
            endpoint = str(self._target)
            failures += [Failure(portion[index], why, endpoint=endpoint) for index, why in sorted(refused.items())]
        return failures

    def _messages(self, payloads: Iterable[bytes]) -> list[bytes]:
        # The time of export, as in Dovecot's log; the event's own times are in the payload.
        now = format_rfc3339(time.time_ns() // 1000).encode("ascii")
        head = b"<%d>1 %b%b" % (self._priority, now, self._tail)
        return [head + payload for payload in payloads]

    def _until_done(self, messages: Sequence[bytes]) -> dict[int, str]:
        """Sends messages, or with none of them confirms all that was sent; retries while the daemon is away."""
        budget = RetryBudget(self._retry_budget_msec)
        while True:
            try:
                return self._try(messages)
            except (DeliveryError, OSError) as error:
                repeats = self._wire is None or self._wire.repeats
                self._disconnect()
                # By UDP, ECONNREFUSED is about an earlier datagram: nothing tells which ones to send again.
                away = error_number(error) in AWAY and self._target.transport != "udp"
                if not (repeats and (away or is_distrust(error)) and budget.wait()):
                    self._forget()
                    raise self._as_delivery_error(error) from error
            except BaseException:
                self._disconnect()
                self._forget()
                raise

    def _try(self, messages: Sequence[bytes]) -> dict[int, str]:
        wire = self._connected()
        refused = wire.send(messages) if messages else {}
        kept = [message for index, message in enumerate(messages) if index not in refused] if wire.repeats else []
        size = self._unconfirmed_bytes + sum(map(len, kept))
        # Confirming costs a round trip, or over TCP a new connection, so it is done once a window and not once a batch.
        if not messages or (wire.window_bytes is not None and size >= wire.window_bytes):
            self._confirm(wire)
        else:
            self._unconfirmed += kept
            self._unconfirmed_bytes = size
        return refused

    def _confirm(self, wire: Wire) -> None:
        if not wire.confirm():
            self._disconnect()
        self._forget()

    def _connected(self) -> Wire:
        """The wire; over a new one, all that the one before did not confirm is sent first."""
        if self._wire is None:
            self._wire = self._open()
            if self._unconfirmed:
                self._wire.send(self._unconfirmed)
        return self._wire

    def _open(self) -> Wire:
        target, timeout = self._target, self._write_timeout_msec
        if self._tls is not None:
            return open_tls(target, timeout, self._tls.current())
        return {"local": open_local, "udp": open_udp, "tcp": open_tcp}[target.transport](target, timeout)

    def _as_delivery_error(self, error: DeliveryError | OSError) -> DeliveryError:
        if isinstance(error, DeliveryError):
            return error
        return delivery_error("send", str(self._target), error)

    def _forget(self) -> None:
        self._unconfirmed = []
        self._unconfirmed_bytes = 0

    def _disconnect(self) -> None:
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.close()

    def release(self) -> None:
        """Closes the connection; it is an error if the daemon does not confirm everything."""
        try:
            # Once and without retries: a pipeline has flushed before, so this is for programs that forgot to.
            if self._unconfirmed:
                self._try(())
        except OSError as error:
            raise self._as_delivery_error(error) from error
        finally:
            self._disconnect()


def _host_name() -> str:
    """This machine's name in the form of RFC 5424: printable ASCII, at most 255 characters, `-` for none."""
    return "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:255] or "-"
