"""Where syslog messages go, and the facilities that they can have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from dovebeam.transforms.errors import DriverSettingError

__all__ = ["FACILITIES", "SETTING", "SyslogTarget", "Way", "parse_target", "target_advice"]

Way = Literal["local", "udp", "tcp", "tls"]

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

_SCHEMES: Final[Mapping[str, Way]] = MappingProxyType({"syslog": "udp", "syslog+tcp": "tcp", "syslog+tls": "tls"})
_ADVICE: Final = (
    "write nothing for the runner's log, syslog:/dev/log for a socket, or for a server syslog:HOST:PORT (UDP), "
    "syslog+tcp:HOST:PORT or syslog+tls:HOST:PORT"
)
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%A-Za-z]+)\]|([^/:\s\[\]]+)):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class SyslogTarget:
    """A local socket (`path`), or a server (`host` and `port`) by UDP, TCP or TLS."""

    way: Way
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str) -> SyslogTarget:
    """Reads `syslog:/path`, or HOST:PORT or [IPV6]:PORT after `syslog:` (UDP), `syslog+tcp:` or `syslog+tls:`.

    Raises:
        DriverSettingError: it is none of them.
    """
    target = _target(text)
    if target is None:
        raise DriverSettingError(SETTING, f"{text!r} is no log target; {_ADVICE}")
    return target


def target_advice(text: str) -> str:
    """What to write instead of a target that is none; an empty string for one, and for nothing: the runner's log."""
    return "" if not text or _target(text) is not None else _ADVICE


def _target(text: str) -> SyslogTarget | None:
    scheme, _, rest = text.partition(":")
    way = _SCHEMES.get(scheme)
    if way == "udp" and rest.startswith("/") and "\0" not in rest:
        return SyslogTarget("local", path=rest)
    found = _ADDRESS.match(rest)
    if way is not None and found is not None and 0 < int(found[3]) < 65536:
        return SyslogTarget(way, host=found[1] or found[2], port=int(found[3]))
    return None
