"""The `unix` driver: one line per event, into a local stream socket.

Rules from Dovecot's section "Export drivers", "Unix socket": connected for the first batch and after an error; a full
or refused socket is tried again after 10 to 100 ms until `unix_connect_timeout` has passed, any other error is final.
When Dovecot's buffer is full, it silently cuts lines and drops events; this driver waits for the listener. What lies in
the kernel's buffer when the listener dies, Dovecot loses; this driver sends it again.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import ClassVar, Final

from dovebeam.transforms.drivers.backoff import RetryBudget
from dovebeam.transforms.drivers.base import (
    Batch,
    Connection,
    Driver,
    Failure,
    check_path,
    delivery_error,
    error_number,
)
from dovebeam.transforms.drivers.setting import Kind, setting
from dovebeam.transforms.drivers.sockets import AWAY, PEER_GONE, connect_unix, send_all, wait_until_read
from dovebeam.transforms.errors import DeliveryError

__all__ = ["UnixConnection", "UnixDriver"]

# A listener that closed the connection may have been restarted; one that does so five times in a row has a fault.
_MAX_TRIES: Final = 5
_READ_BYTES: Final = 65536
# Bounds what a listener that talks without end can keep a batch waiting for.
_MAX_READS: Final = 16


@dataclass(frozen=True, slots=True)
class UnixDriver(Driver):
    """Sends each payload and a newline to the listener of a stream socket.

    Parallelism: any number of connections. Each is a separate stream, in which events keep their order.

    Delivery: at least once. On Linux, a batch counts as delivered when the listener has read its last byte. If the
    listener closes the connection or dies before that, the whole batch is sent again over a new connection, so no
    connection ever starts inside a line. What the listener had read but not processed when it died is lost: the
    protocol has no acknowledgement. A listener that stays down, or reads nothing for `unix_write_timeout`, raises
    `DeliveryError`.
    """

    unix_path: str = setting(
        Kind.STRING, "", "path of the stream socket that lines are written to", dovecot=True, required="/PATH"
    )
    unix_connect_timeout_msec: int | None = setting(
        Kind.TIME, "250 ms", "how long connecting is retried if the socket is busy or refuses connections", dovecot=True
    )
    unix_write_timeout_msec: int | None = setting(
        Kind.TIME, "60 s", "how long the listener may read nothing before the job fails"
    )
    unix_retry_budget_msec: int | None = setting(
        Kind.TIME,
        "0",
        "how long a batch waits for a listener that is down, from the first failure; 0 fails the job at once",
    )

    name: ClassVar[str] = "unix"

    def __post_init__(self) -> None:
        Driver.__post_init__(self)  # super() does not work in a dataclass with slots
        check_path("event_exporter_unix_path", self.unix_path)

    @property
    def endpoint(self) -> str:
        """The path of the socket."""
        return self.unix_path

    def open(self) -> UnixConnection:
        """A connection that connects when the first batch comes."""
        return UnixConnection(self)


class UnixConnection(Connection):
    """A stream socket that is connected when the first batch comes, and again after an error."""

    def __init__(self, driver: UnixDriver) -> None:
        super().__init__()
        self._driver = driver
        self._socket: socket.socket | None = None

    def deliver(self, batch: Batch) -> list[Failure]:
        """Writes the payloads as lines to the socket."""
        lines = b"\n".join([*batch.payloads, b""])
        budget = RetryBudget(self._driver.unix_retry_budget_msec)
        tries = 0
        while True:
            tries += 1
            try:
                self._try(lines)
            except (DeliveryError, OSError) as error:
                self._disconnect()
                number = error_number(error)
                # A listener that is there and closed this connection is worth a few attempts without any budget.
                if (number not in PEER_GONE or tries >= _MAX_TRIES) and not (number in AWAY and budget.wait()):
                    raise self._as_delivery_error(error) from error
            except BaseException:
                # Part of a line may be out; only a new connection begins with a whole one.
                self._disconnect()
                raise
            else:
                return []

    def _try(self, lines: bytes) -> None:
        peer = self._connected()
        timeout = self._driver.unix_write_timeout_msec
        if not send_all(peer, lines, timeout) or not wait_until_read(peer, timeout):
            path = self._driver.unix_path
            message = (
                f"write({path}) failed: the listener has read nothing for {timeout} ms (make it read, or restart it)"
            )
            raise DeliveryError(message, path)

    def _as_delivery_error(self, error: DeliveryError | OSError) -> DeliveryError:
        return error if isinstance(error, DeliveryError) else delivery_error("write", self._driver.unix_path, error)

    def _connected(self) -> socket.socket:
        """The socket; connected again if its peer has closed it since the last batch."""
        # Dovecot notices that only at the next write, which loses the event (spec "Unix socket").
        if self._socket is not None and _peer_closed(self._socket):
            self._disconnect()
        if self._socket is None:
            driver = self._driver
            self._socket = connect_unix(driver.unix_path, socket.SOCK_STREAM, driver.unix_connect_timeout_msec)
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            peer, self._socket = self._socket, None
            with contextlib.suppress(OSError):
                peer.close()

    def release(self) -> None:
        """Closes the socket."""
        self._disconnect()


def _peer_closed(peer: socket.socket) -> bool:
    """Whether the other end is gone; what it may have written is discarded, as no answer is expected."""
    try:
        for _ in range(_MAX_READS):
            if not peer.recv(_READ_BYTES, socket.MSG_DONTWAIT):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
