"""A URL in a driver's description: what may be seen of it, and its credentials as secrets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dovebeam.transforms.drivers.http.url import HttpUrl, parse_http_url
from dovebeam.transforms.drivers.secrets.secret import NOTHING, Secret, is_reference
from dovebeam.transforms.drivers.urls import http_query_error
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["SecretUrl"]


@dataclass(frozen=True, slots=True)
class SecretUrl:
    """A URL whose user information and query never leave the process that read them; or all of it by reference.

    Attributes:
        visible: scheme, host, port and path, which travel with the job; only `endpoint` of it is for display. None if
            the worker looks up the whole URL.
        user: user:password, decoded.
        query: from the question mark on.
        whole: where the whole URL is, because its path or host is a secret, too.
    """

    visible: HttpUrl | None
    user: Secret = field(default=NOTHING, repr=False)
    query: Secret = field(default=NOTHING, repr=False)
    whole: Secret = NOTHING

    @classmethod
    def parse(
        cls, setting: str, text: str | SecretUrl, *, public_query: bool = False, by_reference: bool = False
    ) -> SecretUrl:
        """Takes a URL apart.

        Args:
            setting: full name of the setting, for errors.
            text: the URL; a `SecretUrl` is returned as it is.
            public_query: the query is no secret, and the URL has no business with user information.
            by_reference: `text` may also say where the URL is.

        Raises:
            DriverSettingError: it is no URL that could be requested.
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
            DeliveryError: a part of it cannot be had, or cannot stand in a URL.
        """
        url = self._looked_up(setting) if self.visible is None else self._put_together(setting, self.visible)
        if not other_query:
            return url
        path, mark, _ = url.target.partition("?")
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
            message = f"{setting}: what {self.endpoint} has is no URL to post to: {error.message}"
            raise DeliveryError(message, self.endpoint) from None
