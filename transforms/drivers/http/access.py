"""What requests show of who sends them: the headers of the credentials, and a token that is fetched and renewed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dovebeam.transforms.drivers.http.credentials import Credentials
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.drivers.http.tokens import Token, TokenCache

__all__ = ["Access", "Shown"]


class Shown(NamedTuple):
    """What requests show of who sends them; a request that was refused is sent again only with another one.

    Attributes:
        url: without user and password.
        headers: the user's, and the authorization.
        token: the token in there if it was fetched, else empty.
        proxy: user and password for the proxy.
    """

    url: str
    headers: tuple[str, ...]
    token: str
    proxy: tuple[str, str]


class Access:
    """Credentials of one look-up, with the token that goes with them if the settings ask for one.

    Attributes:
        credentials: they hold until another `Access` takes the place of this one.

    Raises:
        DeliveryError: a secret cannot be had.
    """

    def __init__(self, settings: HttpPostSettings) -> None:
        self.credentials = Credentials(settings)
        fetched = settings.http_post_auth in {"oauth2", "google-id-token"}
        self._tokens: TokenCache | None = _tokens_of(settings, self.credentials) if fetched else None

    def shown(self) -> Shown:
        """What requests that start now show.

        Raises:
            DeliveryError: a token is needed and cannot be had.
        """
        found = self.credentials
        token = self._tokens.text() if self._tokens is not None else ""
        headers = (*found.headers, f"Authorization: Bearer {token}") if token else found.headers
        return Shown(found.url.without_credentials, headers, token, (found.proxy_user, found.proxy_password))

    def refuse_token(self, token: str) -> None:
        """The target refused this token; the next `shown` has another one if there is one to be had.

        Raises:
            DeliveryError: it cannot be asked for.
        """
        if self._tokens is not None:
            self._tokens.refuse(token)


def _tokens_of(settings: HttpPostSettings, credentials: Credentials) -> TokenCache:
    url = credentials.url
    audience = settings.http_post_google_audience or url.without_credentials.removesuffix(url.target)
    return _token_cache(settings, credentials.client_id, credentials.client_secret, audience)


@lru_cache(maxsize=64)
def _token_cache(settings: HttpPostSettings, _client_id: str, _client_secret: str, audience: str) -> TokenCache:
    """One for all connections of this process with the same settings and the same client."""
    if settings.http_post_auth == "oauth2":
        return TokenCache(_oauth2_fetcher(settings))
    from dovebeam.transforms.drivers.http.google_id_token import fetch_google_id_token  # noqa: PLC0415

    return TokenCache(lambda: fetch_google_id_token(audience))


def _oauth2_fetcher(settings: HttpPostSettings) -> Callable[[], Token]:
    from dovebeam.transforms.drivers.http.oauth2 import fetch_token  # noqa: PLC0415  loads libcurl

    return lambda: fetch_token(settings, Credentials(settings))
