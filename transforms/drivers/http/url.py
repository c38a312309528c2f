"""An http:// or https:// URL, taken apart so that its secrets can be kept to where they are needed."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from dovebeam.transforms.errors import DriverSettingError

__all__ = ["HttpUrl", "forbidden_in_target", "parse_http_url", "same_site"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = re.compile(r"(?:([^@]*)@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::([0-9]{0,5}))?\Z")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]|[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A parsed URL.

    Attributes:
        scheme: "http" or "https".
        host: lower case, IPv6 addresses in brackets.
        port: the scheme's own if the URL has none.
        explicit_port: whether the URL names the port.
        target: path and query, as they stand on the request line.
        credentials: user:password with %XX decoded, None without user information.
    """

    scheme: str
    host: str
    port: int
    explicit_port: bool
    target: str = field(repr=False)
    credentials: bytes | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """scheme://host:port, all that may be shown of a URL."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def without_credentials(self) -> str:
        """The URL to request."""
        port = f":{self.port}" if self.explicit_port else ""
        return f"{self.scheme}://{self.host}{port}{self.target}"

    @property
    def basic_authorization(self) -> str:
        """The value of an Authorization header (RFC 7617), empty without credentials."""
        return "" if self.credentials is None else f"Basic {base64.b64encode(self.credentials).decode('ascii')}"


def parse_http_url(setting: str, text: str) -> HttpUrl:
    """Reads a URL by Dovecot's rules, whose own words for each mistake it uses.

    Args:
        setting: full name of the setting that holds the URL, for the error.
        text: the URL. No error repeats it, because it may hold a password or a token.

    Raises:
        DriverSettingError: it is no URL that could be requested.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*", scheme):
        raise _invalid(setting, "Relative HTTP URL not allowed", "begin it with http:// or https://")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _invalid(setting, "Not an HTTP URL", "begin it with http:// or https://")
    if not rest.startswith("//"):
        raise _invalid(setting, "HTTP URL does not allow empty host identifier", "write two slashes before the host")
    # User information may hold any character but these three: a slash in a password has to be written as %2F.
    authority = re.split(r"[/?#]", rest[2:], maxsplit=1)[0]
    target = rest[2 + len(authority) :]
    user, host, port = _split_authority(setting, authority)
    if "#" in target:
        raise _invalid(setting, "URL fragment not allowed for HTTP URL in this context", "remove the part from # on")
    if _FORBIDDEN.search(target):
        raise _invalid(setting, "the path or query has a character that a URL cannot have", "write it as %XX")
    if not target.startswith("/"):
        target = f"/{target}"
    credentials = None if user is None else _decode_user(setting, user)
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    return HttpUrl(scheme, host.lower(), number, bool(port), target, credentials)


def forbidden_in_target(text: str) -> bool:
    """Whether a path or query has a character that has to be written as %XX."""
    return _FORBIDDEN.search(text) is not None


def same_site(origin: HttpUrl, other: HttpUrl) -> bool:
    """Whether all that was sent to `origin` may be sent to `other`: the same place, or that host by TLS."""
    if origin.host != other.host:
        return False
    return (origin.scheme, origin.port) == (other.scheme, other.port) or (origin.scheme, other.scheme) == (
        "http",
        "https",
    )


def _split_authority(setting: str, authority: str) -> tuple[str | None, str, str]:
    found = _AUTHORITY.match(authority)
    if found is None or _FORBIDDEN.search(found[2]) or "%" in found[2]:
        if not authority.rpartition("@")[2] or authority.rpartition("@")[2].startswith(":"):
            raise _invalid(setting, "HTTP URL does not allow empty host identifier", "name the host")
        raise _invalid(setting, "Invalid host or port", "write host, host:port or user:password@host:port")
    if found[3] and not 0 < int(found[3]) < 65536:
        raise _invalid(setting, "Invalid port number", "a port is a number from 1 to 65535")
    return found[1], found[2], found[3] or ""


def _decode_user(setting: str, user: str) -> bytes:
    name, colon, password = user.partition(":")
    decoded = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    if not colon or b":" in unquote_to_bytes(name):
        raise _invalid(
            setting, "the user information is not user:password", "write both, a colon in the user is impossible"
        )
    if re.search(rb"[\x00-\x1f\x7f]", decoded):
        raise _invalid(setting, "the user information has a control character", "remove it")
    return decoded


def _invalid(setting: str, message: str, advice: str) -> DriverSettingError:
    return DriverSettingError(setting, f"Invalid HTTP URL: {message} ({advice})")
