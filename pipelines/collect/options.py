"""Command-line options of `dovebeam collect`."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from dovebeam.pipelines.options.arguments import checked, read_count, read_size
from dovebeam.pipelines.terminal.exit_codes import UsageError

__all__ = ["MAX_SOCKET_PATH_BYTES", "Address", "CollectOptions", "Fsync", "add_arguments", "parse_collect"]

Fsync = Literal["none", "batch", "always"]

MAX_SOCKET_PATH_BYTES: Final = 107
"""Longest path of a unix socket: `sun_path` of unix(7), without its NUL byte."""

_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MODE: Final = re.compile(r"0?[0-7]{3}")
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a listener.

    Attributes:
        path: of a unix socket; empty for HTTP.
        host: IP address or name of an HTTP listener.
        port: its port.
        location: the one path of a URL that it accepts, such as `/`.
        tls: whether it speaks TLS.
    """

    path: str = ""
    host: str = ""
    port: int = 0
    location: str = "/"
    tls: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.tls}://{host}:{self.port}{self.location}"

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            # A name may resolve to any address, today or tomorrow.
            return False


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Options of one `dovebeam collect`.

    Attributes:
        listen: addresses that Dovecot connects to.
        spool: directory of files that `dovebeam stream` follows.
        fsync: when data is forced to the disk: never, at least once a second, or before each answer.
        rotate_size: bytes after which a new file is started.
        rotate_interval: seconds after which a new file is started.
        keep: seconds after which a finished file is deleted, 0 for never.
        token: reference to the password that HTTP clients must send, None for none.
        tls_cert: file with the certificate chain of https listeners, None without.
        tls_key: file with its key, None if it is in the same file.
        max_line_bytes: longer lines are kept aside.
        max_body_bytes: larger requests are refused with 413.
        max_connections: of one listener at the same time; others wait.
        request_timeout: seconds within which a request must be complete once it has started.
        socket_mode: permission bits of a unix socket.
        file_mode: permission bits of the spool's files.
    """

    listen: tuple[Address, ...]
    spool: str
    fsync: Fsync = "batch"
    rotate_size: int = 64 * _MIB
    rotate_interval: int = 600
    keep: int = 0
    token: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    max_line_bytes: int = 4 * _MIB
    max_body_bytes: int = 4 * _MIB
    max_connections: int = 100
    request_timeout: int = 30
    socket_mode: int = 0o600
    file_mode: int = 0o600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a collector."""
    add = parser.add_argument
    add(
        "--listen",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="address to listen on: unix:/PATH, http://HOST:PORT/PATH or https://...; can be repeated",
    )
    add("--spool", metavar="DIR", default="", help="directory for received lines, for `dovebeam stream --follow DIR`")
    add(
        "--fsync",
        choices=get_args(Fsync),
        default="batch",
        help="when to flush data to the disk: never, every second (default), or before each answer",
    )
    add("--token", metavar="REF", help="reference to the password that HTTP clients must send: env:NAME or file:/PATH")
    add("--tls_cert", metavar="FILE", help="certificate chain (PEM) for https addresses")
    add("--tls_key", metavar="FILE", help="key of --tls_cert, if it is not in the same file")
    for name, read, default, text in _VALUES:
        add(
            f"--{name}",
            # The placeholder in --help is the kind of the value: SIZE for `read_size`, PERIOD for `read_period`.
            metavar=read.__name__.removeprefix("read_").upper(),
            type=checked(read),
            default=default,
            help=text,
        )
    add("--debug", action="store_true", help="also print the messages of libraries")


def parse_collect(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> CollectOptions:
    """The options in `arguments`.

    Raises:
        UsageError: a missing or invalid option, or options that contradict each other.
        SystemExit: argparse found an error, or printed the help.
    """
    # Strictly, unlike a job's options: no Beam takes what is left.
    known = parser.parse_args(list(arguments))
    if not known.listen:
        raise UsageError("--listen is missing; write for example --listen unix:/run/dovebeam/collect")
    if not known.spool:
        raise UsageError("--spool is missing; name a directory for the lines, as in --spool /var/spool/dovebeam")
    values = {name: getattr(known, name) for name in CollectOptions.__slots__}
    values["listen"] = tuple(_address(text) for text in dict.fromkeys(known.listen))
    options = CollectOptions(**values)
    _check(options)
    return options


def _check(options: CollectOptions) -> None:
    tls = [str(address) for address in options.listen if address.tls]
    if tls and options.tls_cert is None:
        raise UsageError(f"{tls[0]} needs a certificate; add --tls_cert FILE")
    if options.tls_cert is not None and not tls:
        raise UsageError("--tls_cert has no effect without an https:// address; write --listen https://...")
    if options.tls_key is not None and options.tls_cert is None:
        raise UsageError("--tls_key has no effect without --tls_cert; add --tls_cert FILE")
    for address in options.listen:
        if not address.is_local and options.token is None:
            raise UsageError(f"anyone could send to {address}; add --token, or listen on 127.0.0.1")


def _address(text: str) -> Address:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or path.endswith("/") or "\0" in path:
            raise UsageError(f"--listen {text}: write the absolute path of a socket, as in unix:/run/dovebeam/collect")
        if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            raise UsageError(f"--listen {text}: the path of a unix socket has at most {MAX_SOCKET_PATH_BYTES} bytes")
        return Address(path=path)
    try:
        url = urlsplit(text)
        port, host = url.port, url.hostname
    except ValueError:  # such as a port above 65535
        port = host = None
    if (
        url.scheme not in {"http", "https"}
        or not host
        or port is None
        or "@" in url.netloc
        or url.query
        or url.fragment
    ):
        raise UsageError(
            f"--listen {text!r} is not a valid address; write unix:/PATH, http://HOST:PORT/ or https://HOST:PORT/PATH"
        )
    return Address(host=host, port=port, location=url.path or "/", tls=url.scheme == "https")


def read_duration(text: str) -> int:
    """Parses a duration, such as 10m; returns seconds."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a valid duration; write for example 30s, 10m, 12h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def read_period(text: str) -> int:
    """Parses a duration of at least one second; returns seconds."""
    seconds = read_duration(text)
    if not seconds:
        raise ValueError(f"{text!r} is too short; write 1s or more")
    return seconds


def read_mode(text: str) -> int:
    """Parses permission bits in octal digits."""
    if not _MODE.fullmatch(text):
        raise ValueError(f"{text!r} are not valid permission bits; write for example 0600 or 0660")
    return int(text, 8)


# Name, parser, default and help text of the options with a value.
_VALUES: Final[tuple[tuple[str, Callable[[str], int], int, str], ...]] = (
    ("rotate_size", read_size, 64 * _MIB, "start a new file after this size (default: 64M)"),
    ("rotate_interval", read_period, 600, "start a new file after this time (default: 10m)"),
    ("keep", read_duration, 0, "delete finished files after this time, read or not (default: 0s, never)"),
    ("max_line_bytes", read_size, 4 * _MIB, "put longer lines into a separate file (default: 4M)"),
    ("max_body_bytes", read_size, 4 * _MIB, "refuse larger requests with 413 (default: 4M)"),
    ("max_connections", read_count, 100, "maximum number of connections of one address; others wait (default: 100)"),
    ("request_timeout", read_period, 30, "time within which a request must be complete (default: 30s)"),
    ("socket_mode", read_mode, 0o600, "permission bits of unix sockets (default: 0600)"),
    ("file_mode", read_mode, 0o600, "permission bits of the spool's files (default: 0600)"),
)
