"""An HTTP URL as Dovecot's HTTP client reads it, taken apart or refused.

Dovecot parses `http_post_url` anew for each request and not on startup, so a URL that it refuses loses every event. Its
rules are those of RFC 3986, appendix A, with these of its own, found by trying and in its sources (lib-http, lib):

- `//HOST/` without a scheme is http; a host is a DNS name, with `%XX` for letters and digits, or an address.
- `.` and `..` are resolved (RFC 3986, section 5.2.4), but not where they are written as `%2e`; all other bytes of path
  and query stay as they are written.
- User information may be a user without a password, or any characters in `%XX` except NUL.

Neither `urllib` nor libcurl reads URLs by these rules, so this parser serves `check` and the driver alike. All its
errors are Dovecot's, word for word.
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
"""The characters that every part of a URL may have (RFC 3986: unreserved, sub-delims), for a regular expression."""

_HEX: Final = frozenset(string.hexdigits)


class HttpUrlError(DovebeamError):
    """A URL that Dovecot refuses.

    Attributes:
        message: Dovecot's error. It repeats at most one character of the URL, or what should be an IPv6 address.
        advice: what to write instead.
    """

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(f"{message} ({advice})")
        self.message = message
        self.advice = advice


def bytes_of(text: str) -> str:
    """The bytes of a text as one character each, since Dovecot parses bytes; bytes that are not UTF-8 come back."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        # Half of a surrogate pair, from a program: no file can hold one. It need only be refused below, not kept.
        return text.encode("utf-8", "backslashreplace").decode("latin-1")


def component_end(text: str, at: int, plain: re.Pattern[str]) -> int:
    """End of a component: behind the characters that it may have, and those that are escaped.

    Raises:
        HttpUrlError: a `%` that does not start an escape.
    """
    while True:
        # `plain` matches runs without `%`, so this loops once an escape and not once a character.
        found = plain.match(text, at)
        at = found.end() if found else at
        if not text.startswith("%", at):
            return at
        escaped(text, at)
        at += 3


def escaped(text: str, at: int) -> int:
    """The byte that is escaped as %XX at this place.

    Raises:
        HttpUrlError: it is not an escape, or one of NUL.
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
    """Raises an `HttpUrlError`; as a function of its own it is one short line where a rule is broken."""
    raise HttpUrlError(message, advice)


# The authority of a URL: user information, host and port.

_USERINFO: Final = re.compile(rf"([{PLAIN}:%]*)@")
_IPV4: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_PORT: Final = re.compile(r"[0-9]+")
_ALNUM: Final = frozenset(string.ascii_letters + string.digits)
_IN_LABEL: Final = _ALNUM | {"-"}

_HOST: Final = "a host is a name of letters, digits, '-' and dots, or an address"


class Authority(NamedTuple):
    """The authority of a URL: everything between `//` and the path.

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
    """The authority that starts at `at`, and the place behind it.

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
        # Dovecot reads leading zeros as decimal; libcurl would take 010.0.0.1 for octal and connect to 8.0.0.1.
        octets = [octet.lstrip("0") or "0" for octet in ipv4[0].split(".")] if ipv4 else []
        if ipv4 and all(len(octet) <= 3 and int(octet) <= 255 for octet in octets):
            host, at = ".".join(octets), ipv4.end()
        else:
            # Such as 300.1.1.1, which is a valid name of labels.
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
    """The text in brackets for an error, hidden if it may be a piece of a password."""
    # With an `@` anywhere behind it, the brackets may stand in user information and hold half of a password.
    return "'***'" if "@" in text or not address.isprintable() else f"'{address}'"


def _host_name(text: str, at: int) -> tuple[str, int]:
    """A name of domain labels without its last dot; empty if there is none."""
    name = []
    while at < len(text):
        # Of an escaped character this is the '%', which is how Dovecot comes to refuse a label of one escape alone.
        last = text[at]
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
    """A character of a host name and the place behind it; an empty text and the same place if it is not allowed."""
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
    # The length is checked first: int() raises ValueError above 4,300 digits.
    if port and not (0 < len(digits) <= 5 and int(digits) < 65536):
        refuse("Invalid port number", "a port is a number from 1 to 65535")
    if text[end : end + 1] not in {"", "/", "?", "#"}:
        # In http://user:pass/word@host/ the slash ends the authority, so `pass` is read as a port.
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


# The whole URL: scheme, authority, path and query.

# The spellings of a `Secret` that are references; `plain:` and `literal:` before a URL get Dovecot's error.
_REFERENCE: Final = re.compile(r"(?:env|file|gsm|type:GcpSecret;version_name):", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,63}):")
_SEGMENT: Final = re.compile(rf"[{PLAIN}:@]*")
_QUERY: Final = re.compile(rf"[{PLAIN}:@/?]*")

_BEGIN: Final = "begin it with http:// or https://"
_ESCAPE: Final = "write it as %XX"


@dataclass(frozen=True, slots=True)
class HttpUrlParts:
    """The parts of a URL as Dovecot reads them.

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
    """Parses a URL.

    Raises:
        HttpUrlError: Dovecot refuses it.
    """
    text = bytes_of(url)
    scheme, at = _scheme(text)
    authority, at = split_authority(text, at)
    path, at = _path(text, at)
    query, at = _query(text, at)
    _refuse_fragment(text, at)
    return HttpUrlParts(scheme, *authority, path, query)


def http_url_error(url: str) -> HttpUrlError | None:
    """The error with which Dovecot's HTTP client refuses a URL; None if it accepts it."""
    try:
        split_http_url(url)
    except HttpUrlError as error:
        return error
    return None


def sends_no_user(url: str) -> bool:
    """Whether a valid URL has a user without a password, or the other way round, so that Dovecot sends neither."""
    if is_url_reference(url):
        return False
    parts = split_http_url(url)
    # An empty password (`user:@`) is one; an empty user is not.
    return parts.user is not None and not (parts.user and parts.password is not None)


def http_query_error(query: str) -> HttpUrlError | None:
    """The error with which Dovecot's HTTP client would refuse a query, given without its question mark."""
    try:
        text = f"?{bytes_of(query)}"
        _refuse_fragment(text, _query(text, 0)[1])
    except HttpUrlError as error:
        return error
    return None


def is_url_reference(text: str) -> bool:
    """Whether a text is a reference to the URL of `http_post_url`, an extension; the driver checks what follows."""
    return _REFERENCE.match(text) is not None


def _scheme(text: str) -> tuple[str, int]:
    """The scheme, and the start of the authority."""
    found = _SCHEME.match(text)
    scheme, at = (found[1].lower(), found.end()) if found else ("", 0)
    if scheme not in {"", "http", "https"}:
        refuse("Not an HTTP URL", _BEGIN)
    if not text.startswith("//", at):
        refuse("Absolute HTTP URL requires `//' after `http:'" if scheme else "Relative HTTP URL not allowed", _BEGIN)
    return scheme or "http", at + 2


def _path(text: str, at: int) -> tuple[str, int]:
    """The path, without dot segments (RFC 3986, section 5.2.4)."""
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
    # A path that ends in a dot segment names a directory: `/a/..` is `/`, `/a/.` is `/a/`.
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
    """Refuses what is left of a URL: it can only be a fragment, which no request has."""
    if at == len(text):
        return
    end = component_end(text, at + 1, _QUERY)
    if end < len(text):
        refuse(f"Fragment component contains invalid character {shown(text[end])}", "remove the part from # on")
    refuse("URL fragment not allowed for HTTP URL in this context", "remove the part from # on")
