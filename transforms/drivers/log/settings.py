"""The settings of the `log` driver: fields, defaults and what can be wrong with them. Loads no TLS library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dovebeam.transforms.drivers.kinds import Kind
from dovebeam.transforms.drivers.secrets.secret import NOTHING, Secret
from dovebeam.transforms.drivers.setting import check_values, setting
from dovebeam.transforms.drivers.syslog.target import FACILITIES, parse_target, target_advice
from dovebeam.transforms.drivers.tls_settings import TlsSettings, check_python_tls

__all__ = ["LOGGER_NAME", "LogSettings"]

LOGGER_NAME: Final = "dovebeam.export"
"""The logger that takes the lines if no target is set."""


@dataclass(frozen=True, slots=True)
class LogSettings(TlsSettings):
    """The settings of a `log` exporter; those of TLS are for a target `syslog+tls`."""

    log_target: str = setting(
        Kind.STRING,
        "",
        "where the lines go: empty for the log of the runner, `syslog:/dev/log` for a socket, `syslog:HOST:PORT`, "
        "`syslog+tcp:HOST:PORT` or `syslog+tls:HOST:PORT` for a server",
        guarded=True,
        check=target_advice,
    )
    log_facility: str = setting(Kind.ENUM, "mail", "the facility of syslog records", tuple(FACILITIES))
    log_rate_limit: int = setting(
        Kind.UINT, "0", "most records a second that one worker process writes to one log; 0 is no limit"
    )
    log_write_timeout_msec: int | None = setting(
        Kind.TIME, "60 s", "how long a syslog daemon may read nothing before the job fails"
    )
    log_retry_budget_msec: int | None = setting(
        Kind.TIME, "10 s", "how long a batch waits for a syslog daemon that is away; 0 fails the job at once"
    )

    def __post_init__(self) -> None:
        over_tls = self.log_target and parse_target(self.log_target).way == "tls"
        check_values(self, ignored="" if over_tls else "ssl_")
        # Set for all exporters, it says nothing about one without TLS, and should not travel with it.
        password = Secret.parse("ssl_client_key_password", self.ssl_client_key_password) if over_tls else NOTHING
        object.__setattr__(self, "ssl_client_key_password", password)
        if over_tls:
            check_python_tls(self)

    @property
    def endpoint(self) -> str:
        """The syslog's socket or address, or the logger's name."""
        return self.log_target or LOGGER_NAME
