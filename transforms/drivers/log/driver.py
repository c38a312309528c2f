"""The `log` driver: writes one record per event to the runner's log or to a syslog daemon.

Rules from Dovecot's section "Export drivers", "log": the formats cut strings at 1000 bytes, the priority is info, the
payload is data and not a format string. Dovecot splits a long line into several; a record here is never split.
"""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.log.settings import LOGGER_NAME, LogSettings
from dovebeam.transforms.drivers.rate_limit import portions, shared_bucket

__all__ = ["LOGGER_NAME", "LogDriver", "LoggerConnection"]

# Dovecot's limit for this driver; its other drivers have none.
_MAX_STRING_BYTES: Final = 1000


class LogDriver(LogSettings, Driver):
    """Writes each payload as one record of priority info.

    Parallelism: unlimited; records of one connection keep their order, except over UDP.

    Delivery: the runner's log takes a record at most once and does not confirm it. A syslog daemon over a local stream,
    TCP or TLS gets records at least once: a bundle is done when the daemon has read its last byte. The driver knows
    that from the kernel (local), or because the daemon closes the connection after this side has ended it (TCP, TLS).
    If the daemon closes the connection or dies before that, everything that it may not have read is sent again, in
    whole records. The same holds for a local datagram socket, but a daemon that is killed loses the few datagrams that
    it has not read. UDP is best effort; a server's "port unreachable" raises `DeliveryError` as soon as it is known.
    What a daemon has read and then loses is lost: syslog has no acknowledgement. A record that does not fit into one
    datagram is a `Failure`, never cut. A daemon that stays down or reads nothing raises `DeliveryError`.
    """

    __slots__ = ()  # no fields of its own, so the methods of the settings serve as they are

    name: ClassVar[str] = "log"
    max_string_length: ClassVar[int | None] = _MAX_STRING_BYTES

    def display_items(self) -> dict[str, str | int | bool]:
        """Display data, without the settings of TLS unless the target uses it."""
        items = super().display_items()
        if self.log_target.startswith("syslog+tls:"):
            return items
        return {name: value for name, value in items.items() if not name.startswith("ssl_")}

    def open(self) -> Connection:
        """A connection to the logger or to the syslog."""
        if not self.log_target:
            return LoggerConnection(self.log_rate_limit)
        from dovebeam.transforms.drivers.log.syslog import SyslogConnection  # noqa: PLC0415  brings the TLS library

        return SyslogConnection(self)


class LoggerConnection(Connection):
    """A connection to Python's logging, which Beam's workers forward to the runner's log."""

    def __init__(self, per_second: int = 0) -> None:
        super().__init__()
        self._logger = logging.getLogger(LOGGER_NAME)
        self._bucket = shared_bucket("log:", per_second) if per_second else None
        _make_audible(self._logger)

    def deliver(self, batch: Batch) -> list[Failure]:
        """Writes each payload as a line of the log, at the rate that is allowed."""
        info = self._logger.info
        for portion in portions(self._bucket, len(batch.payloads)):
            for index in portion:
                # An argument and not the format string, so that a `%` in a payload stays as it is.
                info("%s", batch.payloads[index].decode("utf-8", "backslashreplace"))
        return []

    def flush(self) -> None:
        """Flushes all handlers that a record passes."""
        logger: logging.Logger | None = self._logger
        while logger is not None:
            for handler in logger.handlers:
                handler.flush()
            logger = logger.parent if logger.propagate else None


def _make_audible(logger: logging.Logger) -> None:
    """Makes sure that records of priority info come out, or a program without logging would silently lose them all."""
    # The default of the root logger is WARNING. A level that was set on this very logger was meant, and stays.
    if logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
