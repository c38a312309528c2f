"""Syslog messages for the `log` driver, over a local socket, UDP, TCP and TLS.

`target` reads where to, `wires` are the ways there, `connection` sends and sends again.
"""

from dovebeam.transforms.drivers.syslog.connection import SyslogConnection, SyslogSettings
from dovebeam.transforms.drivers.syslog.target import FACILITIES, SyslogTarget, parse_target
from dovebeam.transforms.drivers.syslog.tls import TlsSettings, check_tls_settings

__all__ = [
    "FACILITIES",
    "SyslogConnection",
    "SyslogSettings",
    "SyslogTarget",
    "TlsSettings",
    "check_tls_settings",
    "parse_target",
]
