"""The `log` driver: one record per event in the runner's log, or in a syslog.

Dovecot's section "Export drivers", "log": the formats cut strings at 1000 bytes, the priority is info, the payload is
data and no format string. Dovecot splits a long line into several; a record here is never split.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, DriverName, Failure
from dovebeam.transforms.drivers.syslog import FACILITIES, SyslogConnection, parse_target
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError

__all__ = ["LOGGER_NAME", "LogDriver", "LoggerConnection"]

LOGGER_NAME: Final = "dovebeam.export"
_MAX_STRING_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class LogDriver(Driver):
    """Writes each payload as one record of priority info.

    Attributes:
        log_target: where to, an extension. Empty: the logger `dovebeam.export`, which is the runner's log.
            `syslog:/dev/log` or another socket: the local syslog. `syslog:HOST:PORT`: a syslog server, by UDP.
        log_facility: syslog facility, an extension.

    Parallelism: unlimited; records of one connection keep their order, UDP aside.

    Delivery: the runner's log takes a record at most once and tells nothing of its fate. A local syslog has taken a
    record when it counts as delivered; one that is restarted within a batch gets the rest from the new start on. UDP is
    best effort; a server's "port unreachable" raises `DeliveryError` as soon as it is known. A record that doesn't fit
    into one datagram is a `Failure`, never cut.
    """

    log_target: str = ""
    log_facility: str = "mail"

    name: ClassVar[DriverName] = "log"
    max_string_length: ClassVar[int | None] = _MAX_STRING_BYTES

    def __post_init__(self) -> None:
        if self.log_facility not in FACILITIES:
            near = UnknownNameError("facility", self.log_facility, FACILITIES)
            raise DriverSettingError("event_exporter_log_facility", str(near))
        if self.log_target:
            parse_target(self.log_target)

    @property
    def endpoint(self) -> str:
        """The syslog's socket or address, or the logger's name."""
        return self.log_target or LOGGER_NAME

    def open(self) -> Connection:
        """A connection to the logger or to the syslog."""
        if self.log_target:
            return SyslogConnection(parse_target(self.log_target), self.log_facility)
        return LoggerConnection()


class LoggerConnection(Connection):
    """Logs through Python's logging, which Beam's workers forward to the runner's log."""

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(LOGGER_NAME)
        _make_audible(self._logger)

    def _deliver(self, batch: Batch) -> list[Failure]:
        info = self._logger.info
        for payload in batch.payloads:
            info("%s", payload.decode("utf-8", "backslashreplace"))
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
