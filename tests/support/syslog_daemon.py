"""A private rsyslogd, with its own sockets, that writes each message apart by its RFC 5424 parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.programs import free_port, require_program, running, wait_until

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" UseSpecialParser="off" ParseHostname="on" CreatePath="off"
      RateLimit.Interval="0")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="parts" type="string"
         string="%pri%|%protocol-version%|%app-name%|%procid%|%msgid%|%structured-data%|%hostname%|%rawmsg%\\n")
action(type="omfile" file="{folder}/messages" template="parts" asyncWriting="off" flushOnTXEnd="on")
"""


@dataclass(frozen=True)
class SyslogDaemon:
    """A running rsyslogd."""

    socket: Path
    port: int
    output: Path

    def messages(self, count: int) -> list[list[str]]:
        """What it wrote, as soon as there are so many messages: seven parts and the raw message each."""
        wait_until(lambda: self.output.exists() and self.output.read_bytes().count(b"\n") >= count, f"{count} messages")
        lines = self.output.read_bytes().decode("utf-8", "surrogateescape").splitlines()
        return [line.split("|", 7) for line in lines]


@contextlib.contextmanager
def run_rsyslogd(folder: Path) -> Iterator[SyslogDaemon]:
    """Starts rsyslogd in a folder of its own."""
    program = require_program("rsyslogd")
    port = free_port()
    config = folder / "rsyslog.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port))
    path = folder / "log"
    command = [program, "-n", "-C", "-f", str(config), "-i", str(folder / "pid")]
    with running(command, folder / "output.log", lambda: path.exists() and _udp_is_bound(port)):
        yield SyslogDaemon(path, port, folder / "messages")


def _udp_is_bound(port: int) -> bool:
    """Whether somebody has bound the port; a probe that binds it could be in the daemon's way."""
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") for row in rows)
