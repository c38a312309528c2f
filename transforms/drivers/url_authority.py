"""The authority of a URL: user information, host and port, as Dovecot reads them; see `urls`."""

from __future__ import annotations

import re
import socket
import string
from typing import Final, NamedTuple

from dovebeam.transforms.drivers.url_text import PLAIN, escaped, refuse

__all__ = ["Authority", "split_authority"]

_USERINFO: Final = re.compile(rf"([{PLAIN}:%]*)@")
_IPV4: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_PORT: Final = re.compile(r"[0-9]+")
_ALNUM: Final = frozenset(string.ascii_letters + string.digits)
_IN_LABEL: Final = _ALNUM | {"-"}

_HOST: Final = "a host is a name of letters, digits, '-' and dots, or an address"


class Authority(NamedTuple):
    """What stands between `//` and the path.

    Attributes:
        host: a name, or an address in its usual form, IPv6 in brackets.
        port: None if there is none.
        user: decoded; None without user information.
        password: decoded; None if the user information has no colon.
    """

    host: str
    port: int | None
    user: bytes | None
    password: bytes | None


def split_authority(text: str, at: int) -> tuple[Authority, int]:
    """The authority that begins at `at`, and the place behind it.

    Raises:
        HttpUrlError: Dovecot refuses it.
    """
    userinfo = _USERINFO.match(text, at)
    host, at = _host(text, userinfo.end() if userinfo else at)
    port, at = _port(text, at)
    if not host:
        refuse("HTTP URL does not allow empty host identifier", "name the host")
    user, password = _credentials(userinfo[1]) if userinfo else (None, None)
    return Authority(host, port, user, password), at


def _host(text: str, at: int) -> tuple[str, int]:
    if text.startswith("[", at):
        host, at = _ipv6(text, at)
    else:
        ipv4 = _IPV4.match(text, at)
        octets = [octet.lstrip("0") or "0" for octet in ipv4[0].split(".")] if ipv4 else []
        if ipv4 and all(len(octet) <= 3 and int(octet) <= 255 for octet in octets):
            host, at = ".".join(octets), ipv4.end()
        else:
            host, at = _host_name(text, at)
    if text[at : at + 1] not in {"", ":", "/", "?", "#"}:
        refuse("Invalid host identifier", _HOST)
    return host, at


def _ipv6(text: str, at: int) -> tuple[str, int]:
    end = text.find("]", at)
    if end < 0:
        refuse("Expecting ']' at end of IP-literal", "write [ADDRESS] for an IPv6 address")
    address = text[at + 1 : end]
    if not address:
        refuse("Empty IPv6 host address", "write the address between the brackets")
    if address.startswith("v"):
        refuse(f"Future IP host address {_address(text, address)} not supported", "write an IPv6 address")
    try:
        binary = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        refuse(f"Invalid IPv6 host address {_address(text, address)}", "write for example [2001:db8::1]")
    return f"[{socket.inet_ntop(socket.AF_INET6, binary)}]", end + 1


def _address(text: str, address: str) -> str:
    """What stands in brackets, unless it may be a piece of a password."""
    return "'***'" if "@" in text or not address.isprintable() else f"'{address}'"


def _host_name(text: str, at: int) -> tuple[str, int]:
    """A name of domain labels without its last dot; empty if there is none."""
    name = []
    while at < len(text):
        last = text[at]  # of an escaped character the '%', so that Dovecot refuses a label of nothing else
        char, at = _host_char(text, at, _ALNUM)
        if not char:
            break
        name.append(char)
        inside = at < len(text)
        while at < len(text):
            char, at = _host_char(text, at, _IN_LABEL)
            if not char:
                break
            name.append(char)
            last = char
        if inside and last not in _ALNUM:
            refuse("Invalid domain label in hostname", _HOST)
        if not text.startswith(".", at):
            break
        name.append(".")
        at += 1
    return "".join(name).removesuffix("."), at


def _host_char(text: str, at: int, allowed: frozenset[str]) -> tuple[str, int]:
    """A character of a host name and the place behind it; an empty one, and the same place, if there is none."""
    if text[at] != "%":
        return (text[at], at + 1) if text[at] in allowed else ("", at)
    char = chr(escaped(text, at))
    if char not in allowed:
        refuse("Invalid percent encoding in hostname", _HOST)
    return char, at + 3


def _port(text: str, at: int) -> tuple[int | None, int]:
    if not text.startswith(":", at):
        return None, at
    at += 1
    port = _PORT.match(text, at)
    end = port.end() if port else at
    digits = port[0].lstrip("0") if port else ""
    if port and not (0 < len(digits) <= 5 and int(digits) < 65536):
        refuse("Invalid port number", "a port is a number from 1 to 65535")
    if text[end : end + 1] not in {"", "/", "?", "#"}:
        advice = "a port is a number; if this is a password, write its '/', '?', '#', '@' and '%' as %XX"
        refuse("Invalid host port", advice)
    return int(digits) if digits else None, end


def _credentials(userinfo: str) -> tuple[bytes, bytes | None]:
    colon = userinfo.find(":")
    user = _decoded(userinfo, 0, len(userinfo) if colon < 0 else colon)
    return user, None if colon < 0 else _decoded(userinfo, colon + 1, len(userinfo))


def _decoded(text: str, at: int, end: int) -> bytes:
    decoded = bytearray()
    while at < end:
        if text[at] == "%":
            decoded.append(escaped(text, at))
            at += 3
        else:
            decoded.append(ord(text[at]))
            at += 1
    return bytes(decoded)
