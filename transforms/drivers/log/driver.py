"""The `log` driver: one record per event in the runner's log, or in a syslog.

Dovecot's section "Export drivers", "log": the formats cut strings at 1000 bytes, the priority is info, the payload is
data and no format string. Dovecot splits a long line into several; a record here is never split.
"""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.log.settings import LOGGER_NAME, LogSettings
from dovebeam.transforms.drivers.rate_limit import portions, shared_bucket

__all__ = ["LOGGER_NAME", "LogDriver", "LoggerConnection"]

_MAX_STRING_BYTES: Final = 1000


class LogDriver(LogSettings, Driver):
    """Writes each payload as one record of priority info.

    Parallelism: unlimited; records of one connection keep their order, UDP aside.

    Delivery: the runner's log takes a record at most once and tells nothing of its fate. To a syslog by a local stream,
    TCP or TLS at least once: a bundle is done when the daemon has read it to its last byte, known by its closing the
    connection after that was ended on this side (TCP, TLS) or by the kernel (local); one that closes or dies before
    gets everything that is not known to be read once more, in whole records. A local datagram socket the same, but a
    daemon that is killed takes the few datagrams with it that it had not read. UDP is best effort; a server's "port
    unreachable" raises `DeliveryError` as soon as it is known. What a daemon has read and then loses is lost: syslog
    has no acknowledgement. A record that doesn't fit into one datagram is a `Failure`, never cut. A daemon that stays
    away or reads nothing raises `DeliveryError`.
    """

    __slots__ = ()  # no fields of its own, so the methods of the settings serve as they are

    name: ClassVar[str] = "log"
    max_string_length: ClassVar[int | None] = _MAX_STRING_BYTES

    def display_items(self) -> dict[str, str | int | bool]:
        """Without the settings of TLS where there is none."""
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
    """Logs through Python's logging, which Beam's workers forward to the runner's log."""

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
                info("%s", batch.payloads[index].decode("utf-8", "backslashreplace"))
        return []

    def flush(self) -> None:
        """Flushes the handlers."""
        logger: logging.Logger | None = self._logger
        while logger is not None:
            for handler in logger.handlers:
                handler.flush()
            logger = logger.parent if logger.propagate else None


def _make_audible(logger: logging.Logger) -> None:
    """Without this a program that configured no logging would lose every event in silence.

    A level that somebody set on this very logger is a decision and stays.
    """
    if logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
