"""A private rsyslogd, with its own sockets, that writes each message apart by its RFC 5424 parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.programs import accepts, free_port, require_program, running, wait_until
from support.servers.certificates import Authority

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
main_queue(queue.type="Direct")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" UseSpecialParser="off" ParseHostname="on" CreatePath="off"
      RateLimit.Interval="0")
module(load="imptcp")
input(type="imptcp" address="127.0.0.1" port="{tcp_port}")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="parts" type="string"
         string="%pri%|%protocol-version%|%app-name%|%procid%|%msgid%|%structured-data%|%hostname%|%rawmsg%\\n")
action(type="omfile" file="{folder}/messages" template="parts" asyncWriting="off" flushOnTXEnd="on")
"""


_TLS_CONFIG = """
global(defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{authority}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
"""


@dataclass(frozen=True)
class SyslogDaemon:
    """A running rsyslogd."""

    socket: Path
    port: int
    tcp_port: int
    tls_port: int
    output: Path

    def messages(self, count: int) -> list[list[str]]:
        """What it wrote, as soon as there are so many messages: seven parts and the raw message each."""
        wait_until(lambda: self.output.exists() and self.output.read_bytes().count(b"\n") >= count, f"{count} messages")
        lines = self.output.read_bytes().decode("utf-8", "surrogateescape").splitlines()
        return [line.split("|", 7) for line in lines]


@contextlib.contextmanager
def run_rsyslogd(folder: Path, authority: Authority | None = None, ports: Sequence[int] = ()) -> Iterator[SyslogDaemon]:
    """Starts rsyslogd in a folder of its own.

    Args:
        folder: for its socket and files; a second daemon goes on with the messages of the first.
        authority: for TLS with a client's certificate, from this authority; None for no TLS.
        ports: for UDP, TCP and TLS, those of a daemon that ran before; by default free ones.
    """
    program = require_program("rsyslogd")
    port, tcp_port, tls_port = ports or [free_port() for _ in range(3)]
    config = folder / "rsyslog.conf"
    tls = _tls_config(folder, authority, tls_port) if authority else ""
    config.write_text(tls + _CONFIG.format(folder=folder, port=port, tcp_port=tcp_port))
    path = folder / "log"
    command = [program, "-n", "-C", "-f", str(config), "-i", str(folder / "pid")]

    def ready() -> bool:
        return path.exists() and _udp_is_bound(port) and accepts(tcp_port) and (not authority or accepts(tls_port))

    with running(command, folder / "output.log", ready):
        yield SyslogDaemon(path, port, tcp_port, tls_port, folder / "messages")


def _tls_config(folder: Path, authority: Authority, port: int) -> str:
    if not any(Path("/usr/lib").glob("**/rsyslog/lmnsd_ossl.so")):
        require_program("rsyslogd with the package rsyslog-openssl")
    certificate, key = authority.issue("rsyslogd", "IP:127.0.0.1")
    return _TLS_CONFIG.format(authority=authority.certificate, certificate=certificate, key=key, port=port)


def _udp_is_bound(port: int) -> bool:
    """Whether somebody has bound the port; a probe that binds it could be in the daemon's way."""
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") for row in rows)
