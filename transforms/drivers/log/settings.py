"""The settings of the `log` driver: fields, defaults and checks. Loads no TLS library.

`parse_target` reads the value of `log_target` into a `SyslogTarget`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from dovebeam.transforms.drivers.secrets.secret import NOTHING, Secret
from dovebeam.transforms.drivers.setting import Kind, check_values, setting
from dovebeam.transforms.drivers.tls_settings import TlsSettings, check_python_tls
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["FACILITIES", "LOGGER_NAME", "SETTING", "LogSettings", "SyslogTarget", "parse_target"]


Transport = Literal["local", "udp", "tcp", "tls"]
"""How messages travel to a syslog daemon; "local" is a socket of this machine, for datagrams or a stream."""

SETTING: Final = "event_exporter_log_target"

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

_SCHEMES: Final[Mapping[str, Transport]] = MappingProxyType({"syslog": "udp", "syslog+tcp": "tcp", "syslog+tls": "tls"})
_ADVICE: Final = (
    "write nothing for the runner's log, syslog:/dev/log for a socket, or for a server syslog:HOST:PORT (UDP), "
    "syslog+tcp:HOST:PORT or syslog+tls:HOST:PORT"
)
# [IPV6]:PORT, which may have a zone (fe80::1%eth0), or HOST:PORT; a host without brackets cannot have a colon.
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%A-Za-z]+)\]|([^/:\s\[\]]+)):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class SyslogTarget:
    """The address of a syslog daemon: a local socket (`path`), or a server (`host`, `port`) by UDP, TCP or TLS."""

    transport: Transport
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str) -> SyslogTarget:
    """Parses `syslog:/path`, or HOST:PORT or [IPV6]:PORT after `syslog:` (UDP), `syslog+tcp:` or `syslog+tls:`.

    Raises:
        DriverSettingError: it is not one of these.
    """
    target = _target(text)
    if target is None:
        raise DriverSettingError(SETTING, f"{text!r} is not a log target; {_ADVICE}")
    return target


def target_advice(text: str) -> str:
    """Advice for a target that is not valid; empty for a valid one, and for no target, which is the runner's log."""
    return "" if not text or _target(text) is not None else _ADVICE


def _target(text: str) -> SyslogTarget | None:
    scheme, _, rest = text.partition(":")
    transport = _SCHEMES.get(scheme)
    # `syslog:` is both: with a path it is a local socket, with an address UDP.
    if transport == "udp" and rest.startswith("/") and "\0" not in rest:
        return SyslogTarget("local", path=rest)
    found = _ADDRESS.match(rest)
    if transport is not None and found is not None and 0 < int(found[3]) < 65536:
        return SyslogTarget(transport, host=found[1] or found[2], port=int(found[3]))
    return None


LOGGER_NAME: Final = "dovebeam.export"
"""The logger that gets the records if no target is set."""


@dataclass(frozen=True, slots=True)
class LogSettings(TlsSettings):
    """The settings of a `log` exporter; those of TLS are for a target `syslog+tls`."""

    # Guarded: people write URLs with passwords here by mistake.
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
        Kind.UINT, "0", "maximum number of records a second from one worker process to one log; 0 for no limit"
    )
    log_write_timeout_msec: int | None = setting(
        Kind.TIME, "60 s", "how long a syslog daemon may read nothing before the job fails"
    )
    log_retry_budget_msec: int | None = setting(
        Kind.TIME, "10 s", "how long a batch waits for a syslog daemon that is down; 0 fails the job at once"
    )

    def __post_init__(self) -> None:
        over_tls = self.log_target and parse_target(self.log_target).transport == "tls"
        # Not `Driver.__post_init__`: a wrong `ssl_` setting that is meant for other exporters must not stop this one.
        check_values(self, ignored="" if over_tls else "ssl_")
        # A password that was set for all exporters means nothing here without TLS, and must not travel needlessly.
        password = Secret.parse("ssl_client_key_password", self.ssl_client_key_password) if over_tls else NOTHING
        object.__setattr__(self, "ssl_client_key_password", password)
        if over_tls:
            check_python_tls(self)

    @property
    def endpoint(self) -> str:
        """The target as it was written, or the name of the logger."""
        return self.log_target or LOGGER_NAME
