"""The `log` driver: one record per event in the runner's log, or in a syslog.

Dovecot's section "Export drivers", "log": the formats cut strings at 1000 bytes, the priority is info, the payload is
data and no format string. Dovecot splits a long line into several; a record here is never split.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from typing import ClassVar, Final

from dovebeam.transforms.drivers.base import Batch, Connection, Driver, Failure
from dovebeam.transforms.drivers.rate_limit import portions, shared_bucket
from dovebeam.transforms.drivers.secrets import NOTHING, Secret
from dovebeam.transforms.drivers.syslog import (
    FACILITIES,
    TlsSettings,
    check_tls_settings,
    parse_target,
)
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError

__all__ = ["LOGGER_NAME", "LogDriver", "LoggerConnection"]

LOGGER_NAME: Final = "dovebeam.export"
_MAX_STRING_BYTES: Final = 1000


@dataclass(frozen=True, slots=True)
class LogDriver(Driver):
    """Writes each payload as one record of priority info.

    Attributes:
        log_target: where to, an extension. Empty: the logger `dovebeam.export`, which is the runner's log.
            `syslog:/dev/log` or another socket: the local syslog. `syslog:HOST:PORT`: a syslog server by UDP,
            `syslog+tcp:HOST:PORT` by TCP with counted octets, `syslog+tls:HOST:PORT` the same over TLS.
        log_facility: syslog facility, an extension.
        log_rate_limit: records a second of one worker process into one log, an extension; 0 for no limit.
        log_write_timeout_msec: how long a syslog daemon may read nothing, an extension; None waits for ever.
        log_retry_budget_msec: how long a batch waits for a syslog daemon that is away, an extension: from its first
            failure, in pauses of up to a second. None waits for ever; UDP does not tell of one that is away.
        ssl_client_ca_file: for syslog+tls as for http-post, like the following.
        ssl_client_ca_dir: see there.
        ssl_client_cert_file: see there.
        ssl_client_key_file: see there.
        ssl_client_key_password: see there; text, or a reference to it.
        ssl_client_require_valid_cert: see there.
        ssl_min_protocol: see there.
        ssl_cipher_list: see there.
        ssl_cipher_suites: must be empty for syslog+tls, Python's ssl module has no such setting.
        ssl_curve_list: the same.

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

    log_target: str = ""
    log_facility: str = "mail"
    log_rate_limit: int = 0
    log_write_timeout_msec: int | None = 60_000
    log_retry_budget_msec: int | None = 10_000
    ssl_client_ca_file: str = ""
    ssl_client_ca_dir: str = ""
    ssl_client_cert_file: str = ""
    ssl_client_key_file: str = ""
    ssl_client_key_password: Secret = field(default=NOTHING, repr=False)
    ssl_client_require_valid_cert: bool = True
    ssl_min_protocol: str = "TLSv1.2"
    ssl_cipher_list: str = ""
    ssl_cipher_suites: str = ""
    ssl_curve_list: str = ""

    name: ClassVar[str] = "log"
    max_string_length: ClassVar[int | None] = _MAX_STRING_BYTES

    def __post_init__(self) -> None:
        if self.log_facility not in FACILITIES:
            near = UnknownNameError("facility", self.log_facility, FACILITIES)
            raise DriverSettingError("event_exporter_log_facility", str(near))
        over_tls = self.log_target and parse_target(self.log_target).way == "tls"
        # Set for all exporters, it says nothing about one without TLS, and should not travel with it.
        password = Secret.parse("ssl_client_key_password", self.ssl_client_key_password) if over_tls else NOTHING
        object.__setattr__(self, "ssl_client_key_password", password)
        if over_tls:
            check_tls_settings(self._tls, self.ssl_cipher_suites, self.ssl_curve_list)

    @property
    def endpoint(self) -> str:
        """The syslog's socket or address, or the logger's name."""
        return self.log_target or LOGGER_NAME

    def display_items(self) -> dict[str, str | int | bool]:
        """Without the settings of TLS where there is none."""
        items = Driver.display_items(self)  # super() does not work in a dataclass with slots
        if self.log_target.startswith("syslog+tls:"):
            return items
        return {name: value for name, value in items.items() if not name.startswith("ssl_")}

    def open(self) -> Connection:
        """A connection to the logger or to the syslog."""
        if not self.log_target:
            return LoggerConnection(self.log_rate_limit)
        from dovebeam.transforms.drivers.syslog.connection import (  # noqa: PLC0415  brings the TLS library
            SyslogConnection,
            SyslogSettings,
        )

        settings = SyslogSettings(
            parse_target(self.log_target),
            self.log_facility,
            self.log_write_timeout_msec,
            self.log_retry_budget_msec,
            self.log_rate_limit,
            self._tls,
        )
        return SyslogConnection(settings)

    @property
    def _tls(self) -> TlsSettings:
        return TlsSettings(**{each.name: getattr(self, each.name) for each in fields(TlsSettings)})


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
