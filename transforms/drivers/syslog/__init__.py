"""Syslog messages for the `log` driver, over a local socket, UDP, TCP and TLS.

`target` reads where to, `wires` are the ways there, `connection` sends and sends again; it is loaded where one opens,
because it brings the TLS library.
"""

from dovebeam.transforms.drivers.syslog.target import FACILITIES, SyslogTarget, parse_target, target_advice

__all__ = [
    "FACILITIES",
    "SyslogTarget",
    "parse_target",
    "target_advice",
]
