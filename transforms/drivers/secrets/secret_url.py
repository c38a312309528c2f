"""URLs in a driver's description: a part that may be shown and travels, and credentials that are secrets."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field, replace
from typing import Final

from dovebeam.transforms.drivers.secrets.secret import NOTHING, Secret, is_reference
from dovebeam.transforms.drivers.urls import HttpUrlError, http_query_error, split_http_url
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["HttpUrl", "SecretUrl", "parse_http_url", "same_site"]


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
        return (
            ""
            if self.credentials is None
            else f"Basic {binascii.b2a_base64(self.credentials, newline=False).decode('ascii')}"
        )


def parse_http_url(setting: str, text: str) -> HttpUrl:
    """Parses a URL by Dovecot's rules, with Dovecot's error for each mistake.

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
    # Dovecot sends no Authorization for a user alone, or for a password alone.
    if parts.user and parts.password is not None:
        credentials = b"%b:%b" % (parts.user, parts.password)
        # RFC 7617: the server would take the colon for the end of the user.
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
    """Whether credentials for `origin` may be sent to `other`: the same scheme, host and port, or that host by TLS."""
    if origin.host != other.host:
        return False
    return (origin.scheme, origin.port) == (other.scheme, other.port) or (origin.scheme, other.scheme) == (
        "http",
        "https",
    )


def _invalid(setting: str, message: str, advice: str) -> DriverSettingError:
    return DriverSettingError(setting, f"Invalid HTTP URL: {message} ({advice})")


@dataclass(frozen=True, slots=True)
class SecretUrl:
    """A URL whose user information and query are secrets, or that is a reference as a whole.

    Attributes:
        visible: scheme, host, port and path, which travel with the job; only `endpoint` of it is for display. None if
            the worker looks up the whole URL.
        user: user:password, decoded.
        query: from the question mark on.
        whole: reference to the whole URL, for one whose path or host is a secret, too, such as a webhook's.
    """

    visible: HttpUrl | None
    user: Secret = field(default=NOTHING, repr=False)
    query: Secret = field(default=NOTHING, repr=False)
    whole: Secret = NOTHING

    @classmethod
    def parse(
        cls, setting: str, text: str | SecretUrl, *, public_query: bool = False, by_reference: bool = False
    ) -> SecretUrl:
        """Parses the value of a setting.

        Args:
            setting: full name of the setting, for errors.
            text: the URL; a `SecretUrl` is returned as it is.
            public_query: the query is not a secret, and user information is refused.
            by_reference: `text` may also be a reference to the URL.

        Raises:
            DriverSettingError: it is not a URL that can be requested.
        """
        if isinstance(text, SecretUrl):
            return text
        if by_reference and is_reference(text):
            return cls(None, whole=Secret.parse(setting, text))
        url = parse_http_url(setting, text)
        if public_query:
            if url.has_userinfo:
                raise DriverSettingError(setting, "user and password in it are not used; remove them")
            return cls(url)
        # Tokens in queries are common, so every query is taken for a secret; a bare `?` is kept as well.
        path, mark, query = url.target.partition("?")
        user = (
            NOTHING if url.credentials is None else Secret.literal(url.credentials.decode("utf-8", "surrogateescape"))
        )
        visible = replace(url, target=path, credentials=None)
        return cls(visible, user, Secret.literal(mark + query) if mark else NOTHING)

    @property
    def endpoint(self) -> str:
        """scheme://host:port, or the reference."""
        return self.whole.shown if self.visible is None else self.visible.endpoint

    def reveal(self, setting: str, other_query: str = "") -> HttpUrl:
        """The whole URL, on the worker.

        Args:
            setting: full name of the setting, for errors.
            other_query: takes the place of the query; with or without a question mark.

        Raises:
            DeliveryError: a secret cannot be looked up, or what it holds cannot be a part of a URL.
        """
        url = self._looked_up(setting) if self.visible is None else self._put_together(setting, self.visible)
        if not other_query:
            return url
        path, mark, _ = url.target.partition("?")
        # At launch only a URL by reference can hide that it has a query; all others were checked there.
        if mark and self.visible is None:
            message = f"{setting}: the URL has a query of its own, and http_post_query is set (keep one of the two)"
            raise DeliveryError(message, self.endpoint)
        setting = "event_exporter_http_post_query"
        query = other_query.removeprefix("?")
        problem = http_query_error(query)
        if problem is not None:
            raise DeliveryError(f"{setting}: it cannot be a query: {problem}", self.endpoint)
        return replace(url, target=f"{path}?{query}")

    def _put_together(self, setting: str, visible: HttpUrl) -> HttpUrl:
        user = self.user.reveal(setting).encode("utf-8", "surrogateescape") if self.user else None
        return replace(visible, target=visible.target + self.query.reveal(setting), credentials=user)

    def _looked_up(self, setting: str) -> HttpUrl:
        try:
            return parse_http_url(setting, self.whole.reveal(setting))
        except DriverSettingError as error:
            # Named is the reference, for nothing of this URL may be shown.
            message = f"{setting}: the value of {self.endpoint} is not a URL to post to: {error.message}"
            raise DeliveryError(message, self.endpoint) from None
