"""An http:// or https:// URL, taken apart so that its secrets can be kept to where they are needed."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.drivers.urls import HttpUrlError, split_http_url
from dovebeam.transforms.errors import DriverSettingError

__all__ = ["HttpUrl", "parse_http_url", "same_site"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A parsed URL.

    Attributes:
        scheme: "http" or "https".
        host: lower case, IPv6 addresses in brackets.
        port: the scheme's own if the URL has none.
        explicit_port: whether the URL names the port.
        target: path and query, as they stand on the request line.
        credentials: user:password with %XX decoded; None if Dovecot sends none: without a user, or without a colon.
        has_userinfo: whether the URL has anything before an `@`.
    """

    scheme: str
    host: str
    port: int
    explicit_port: bool
    target: str = field(repr=False)
    credentials: bytes | None = field(default=None, repr=False)
    has_userinfo: bool = False

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
        DriverSettingError: it is not a URL that could be requested.
    """
    try:
        parts = split_http_url(text)
    except HttpUrlError as error:
        raise _invalid(setting, error.message, error.advice) from None
    credentials = None
    if parts.user and parts.password is not None:
        credentials = b"%b:%b" % (parts.user, parts.password)
        if b":" in parts.user:
            raise _invalid(setting, "a user with a colon in it cannot be sent", "choose another user")
    return HttpUrl(
        parts.scheme,
        parts.host.lower(),
        parts.port or _DEFAULT_PORTS[parts.scheme],
        parts.port is not None,
        parts.path if parts.query is None else f"{parts.path}?{parts.query}",
        credentials,
        parts.user is not None,
    )


def same_site(origin: HttpUrl, other: HttpUrl) -> bool:
    """Whether all that was sent to `origin` may be sent to `other`: the same place, or that host by TLS."""
    if origin.host != other.host:
        return False
    return (origin.scheme, origin.port) == (other.scheme, other.port) or (origin.scheme, other.scheme) == (
        "http",
        "https",
    )


def _invalid(setting: str, message: str, advice: str) -> DriverSettingError:
    return DriverSettingError(setting, f"Invalid HTTP URL: {message} ({advice})")
