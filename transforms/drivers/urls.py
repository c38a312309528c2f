"""An HTTP URL as Dovecot's HTTP client reads it, taken apart or refused.

Dovecot looks at `http_post_url` for each request only, so a URL that it refuses loses every event. Its rules are those
of RFC 3986, appendix A, with these of its own, found by trying and in its sources (lib-http, lib):

- `//HOST/` without a scheme is http; a host is a DNS name, with `%XX` for letters and digits, or an address.
- `.` and `..` are resolved (RFC 3986, section 5.2.4), but not where they are written as `%2e`; all other bytes of path
  and query stay as they are written.
- User information may be a user without a password, or any characters in `%XX` except NUL.
"""

from __future__ import annotations

import re
import socket
import string
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

from dovebeam.transforms.errors import DovebeamError

__all__ = [
    "HttpUrlError",
    "HttpUrlParts",
    "http_query_error",
    "http_url_error",
    "is_url_reference",
    "sends_no_user",
    "split_http_url",
]


PLAIN: Final = r"A-Za-z0-9\-._~!$&'()*+,;="
"""The characters that every part of a URL may have, for a class in a regular expression."""

_HEX: Final = frozenset(string.hexdigits)


class HttpUrlError(DovebeamError):
    """Dovecot would refuse the URL.

    Attributes:
        message: Dovecot's words. Of the URL they repeat one character at most, or what should be an IPv6 address.
        advice: what to write instead.
    """

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(f"{message} ({advice})")
        self.message = message
        self.advice = advice


def bytes_of(text: str) -> str:
    """One character a byte, as Dovecot looks at it; bytes of a file that are not UTF-8 are those again."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:  # a half of a pair of surrogates, which no file can hold
        return text.encode("utf-8", "backslashreplace").decode("latin-1")


def component_end(text: str, at: int, plain: re.Pattern[str]) -> int:
    """Where a component ends: behind the characters that it may have, and those that are escaped.

    Raises:
        HttpUrlError: a `%` does not begin an escape.
    """
    while True:
        found = plain.match(text, at)
        at = found.end() if found else at
        if not text.startswith("%", at):
            return at
        escaped(text, at)
        at += 3


def escaped(text: str, at: int) -> int:
    """The byte that the %XX at this place stands for.

    Raises:
        HttpUrlError: it stands for none, or for NUL.
    """
    digits = text[at + 1 : at + 3]
    advice = "write %25 for a percent sign"
    if len(digits) < 2:
        refuse("Unexpected URI boundary after '%'", advice)
    for place, digit in enumerate(digits):
        if digit not in _HEX:
            refuse(f"Expecting hex digit after '%{digits[:place]}', but found {shown(digit)}", advice)
    if digits == "00":
        refuse("Percent encoding is not allowed to encode NUL character", "remove the %00")
    return int(digits, 16)


def shown(char: str) -> str:
    """A character as Dovecot's errors show it."""
    return f"'{char}'" if " " <= char <= "~" else f"<0x{ord(char):02x}>"


def refuse(message: str, advice: str) -> NoReturn:
    """Raises the error."""
    raise HttpUrlError(message, advice)


# The authority of a URL: user information, host and port, as Dovecot reads them; see `urls`.

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


# An HTTP URL as Dovecot's HTTP client reads it, taken apart or refused.
#
# Dovecot looks at `http_post_url` for each request only, so a URL that it refuses loses every event. Its rules are
# those of RFC 3986, appendix A, with these of its own, found by trying and in its sources (lib-http, lib):
#
# - `//HOST/` without a scheme is http; a host is a DNS name, with `%XX` for letters and digits, or an address. - `.`
# and `..` are resolved (RFC 3986, section 5.2.4), but not where they are written as `%2e`; all other bytes of path and
# query stay as they are written. - User information may be a user without a password, or any characters in `%XX`
# except NUL.

_REFERENCE: Final = re.compile(r"(?:env|file|gsm|type:GcpSecret;version_name):", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,63}):")
_SEGMENT: Final = re.compile(rf"[{PLAIN}:@]*")
_QUERY: Final = re.compile(rf"[{PLAIN}:@/?]*")

_BEGIN: Final = "begin it with http:// or https://"
_ESCAPE: Final = "write it as %XX"


@dataclass(frozen=True, slots=True)
class HttpUrlParts:
    """What Dovecot makes of a URL.

    Attributes:
        scheme: "http" or "https".
        host: a name, or an address in its usual form, IPv6 in brackets.
        port: None if the URL names none.
        user: decoded; None without user information.
        password: decoded; None if the user information has no colon.
        path: with dot segments resolved, otherwise as written; at least "/".
        query: as written, without the question mark; None without one.
    """

    scheme: str
    host: str
    port: int | None
    user: bytes | None = field(repr=False)
    password: bytes | None = field(repr=False)
    path: str = field(repr=False)
    query: str | None = field(repr=False)


def split_http_url(url: str) -> HttpUrlParts:
    """Takes a URL apart.

    Raises:
        HttpUrlError: Dovecot cannot request it.
    """
    text = bytes_of(url)
    scheme, at = _scheme(text)
    authority, at = split_authority(text, at)
    path, at = _path(text, at)
    query, at = _query(text, at)
    _refuse_fragment(text, at)
    return HttpUrlParts(scheme, *authority, path, query)


def http_url_error(url: str) -> HttpUrlError | None:
    """What Dovecot's HTTP client says against this URL."""
    try:
        split_http_url(url)
    except HttpUrlError as error:
        return error
    return None


def sends_no_user(url: str) -> bool:
    """Whether a URL that Dovecot can request has a user without a password, or the other way round."""
    if is_url_reference(url):
        return False
    parts = split_http_url(url)
    return parts.user is not None and not (parts.user and parts.password is not None)


def http_query_error(query: str) -> HttpUrlError | None:
    """What Dovecot's HTTP client would say against a query (without its question mark)."""
    try:
        text = f"?{bytes_of(query)}"
        _refuse_fragment(text, _query(text, 0)[1])
    except HttpUrlError as error:
        return error
    return None


def is_url_reference(text: str) -> bool:
    """Whether a text says where the URL of `http_post_url` is, which is an extension; the driver looks at the rest."""
    return _REFERENCE.match(text) is not None


def _scheme(text: str) -> tuple[str, int]:
    """The scheme, and where the authority begins."""
    found = _SCHEME.match(text)
    scheme, at = (found[1].lower(), found.end()) if found else ("", 0)
    if scheme not in {"", "http", "https"}:
        refuse("Not an HTTP URL", _BEGIN)
    if not text.startswith("//", at):
        refuse("Absolute HTTP URL requires `//' after `http:'" if scheme else "Relative HTTP URL not allowed", _BEGIN)
    return scheme or "http", at + 2


def _path(text: str, at: int) -> tuple[str, int]:
    """The path; each `..` takes away what stands before it."""
    segments: list[str] = []
    segment = ""
    while text.startswith("/", at):
        end = component_end(text, at + 1, _SEGMENT)
        if text[end : end + 1] not in {"", "/", "?", "#"}:
            refuse(f"Path component contains invalid character {shown(text[end])}", _ESCAPE)
        segment = text[at + 1 : end]
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
        at = end
    if segment in {".", ".."}:
        segments.append("")
    return "/" + "/".join(segments), at


def _query(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("?", at):
        return None, at
    end = component_end(text, at + 1, _QUERY)
    if text[end : end + 1] not in {"", "#"}:
        refuse(f"Query component contains invalid character {shown(text[end])}", _ESCAPE)
    return text[at + 1 : end], end


def _refuse_fragment(text: str, at: int) -> None:
    """All that can be left of a URL is a fragment, which no request has."""
    if at == len(text):
        return
    end = component_end(text, at + 1, _QUERY)
    if end < len(text):
        refuse(f"Fragment component contains invalid character {shown(text[end])}", "remove the part from # on")
    refuse("URL fragment not allowed for HTTP URL in this context", "remove the part from # on")
