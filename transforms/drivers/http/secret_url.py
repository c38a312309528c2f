"""A URL in a driver's description: what may be seen of it, and its credentials as secrets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dovebeam.transforms.drivers.http.url import HttpUrl, forbidden_in_target, parse_http_url
from dovebeam.transforms.drivers.secrets import NOTHING, Secret
from dovebeam.transforms.errors import DeliveryError, DriverSettingError

__all__ = ["SecretUrl"]


@dataclass(frozen=True, slots=True)
class SecretUrl:
    """A URL whose user information and query never leave the process that read them.

    Attributes:
        visible: scheme, host, port and path, which travel with the job; only `endpoint` of it is for display.
        user: user:password, decoded.
        query: from the question mark on.
    """

    visible: HttpUrl
    user: Secret = field(default=NOTHING, repr=False)
    query: Secret = field(default=NOTHING, repr=False)

    @classmethod
    def parse(cls, setting: str, text: str | SecretUrl, *, public_query: bool = False) -> SecretUrl:
        """Takes a URL apart.

        Args:
            setting: full name of the setting, for errors.
            text: the URL; a `SecretUrl` is returned as it is.
            public_query: the query is no secret, and the URL has no business with user information.

        Raises:
            DriverSettingError: it is no URL that could be requested.
        """
        if isinstance(text, SecretUrl):
            return text
        url = parse_http_url(setting, text)
        if public_query:
            if url.credentials is not None:
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
        """scheme://host:port."""
        return self.visible.endpoint

    def reveal(self, setting: str, other_query: str = "") -> HttpUrl:
        """The whole URL, on the worker.

        Args:
            setting: full name of the setting, for errors.
            other_query: takes the place of the query; with or without a question mark.

        Raises:
            DeliveryError: a part of it cannot be had, or cannot stand in a URL.
        """
        user = self.user.reveal(setting).encode("utf-8", "surrogateescape") if self.user else None
        query = self.query.reveal(setting)
        if other_query:
            setting = "event_exporter_http_post_query"
            query = f"?{other_query.removeprefix('?')}"
            if forbidden_in_target(query) or "#" in query:
                message = f"{setting}: it has a character that a URL cannot have (write it as %XX)"
                raise DeliveryError(message, self.endpoint)
        return replace(self.visible, target=self.visible.target + query, credentials=user)
