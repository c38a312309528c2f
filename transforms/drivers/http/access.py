"""Authentication of requests: headers made of the credentials, and tokens that are fetched and renewed.

Tokens come from an OAuth 2.0 server (client credentials) or from Google (ID tokens). All connections of a process with
the same settings share one in a `TokenCache`.
"""

from __future__ import annotations

import base64
import datetime
import io
import json
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, urlencode

import pycurl

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.drivers.http.credentials import Credentials
from dovebeam.transforms.drivers.http.options import set_proxy, set_tls, set_url, system_trust
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.errors import DeliveryError

__all__ = ["Access", "Shown"]


# Fetching a token once for all threads.

_EARLY_SECS: Final = 60.0
"""How long before it expires a token is replaced, if its lifetime is more than twice that; else at half its life."""

_RETRY_SECS: Final = 5.0
"""Least time between two fetches, after a failed one and after a refused token."""


class Token(NamedTuple):
    """A token and its lifetime, None if the server did not tell it."""

    text: str
    lifetime_secs: float | None


class TokenCache:
    """A token that is fetched when it is needed and replaced before it expires; threads may share it.

    Args:
        fetch: gets a new token, or raises `DeliveryError`.
    """

    def __init__(self, fetch: Callable[[], Token]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._fetched = 0.0
        self._tried = 0.0

    def text(self) -> str:
        """A token that can be used now.

        Raises:
            DeliveryError: there is no valid token, and a new one cannot be fetched.
        """
        # The lock is held while fetching, so that threads that need a token together fetch one.
        with self._lock:
            now = time.monotonic()
            left = self._left(now)
            # Between replacement and expiry a failed fetch is not repeated at once, as the old token still holds.
            if self._token is not None and (left > 0 or (left > -self._margin() and now - self._tried < _RETRY_SECS)):
                return self._token.text
            return self._renewed(now)

    def refuse(self, text: str) -> None:
        """Replaces a token that a target refused, unless it was replaced already or fetched just now.

        Requests that are sent together are refused together. Only the first of them fetches a token.

        Raises:
            DeliveryError: a new token cannot be fetched.
        """
        with self._lock:
            now = time.monotonic()
            if self._token is not None and self._token.text == text and now - self._fetched >= _RETRY_SECS:
                self._token = None
                self._renewed(now)

    def _renewed(self, now: float) -> str:
        """Fetches a token; if that fails, the old one is used until it expires."""
        self._tried = now
        try:
            token = self._fetch()
        except DeliveryError:
            if self._token is None or self._left(now) <= -self._margin():
                raise
        else:
            self._token, self._fetched = token, time.monotonic()
        return self._token.text if self._token is not None else ""

    def _left(self, now: float) -> float:
        """Seconds until the token should be replaced."""
        lifetime = self._token.lifetime_secs if self._token is not None else 0.0
        return float("inf") if lifetime is None else self._fetched + lifetime - self._margin() - now

    def _margin(self) -> float:
        """Seconds between a token's replacement and its expiry."""
        lifetime = self._token.lifetime_secs if self._token is not None else None
        return 0.0 if lifetime is None else min(_EARLY_SECS, lifetime / 2)


# Tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4), fetched with the exporter's proxy and TLS.

# Few and short, since all threads wait meanwhile; if they fail, the bundle does, and the runner tries again.
_ATTEMPTS: Final = 3
_BACKOFF: Final = Backoff(0.5, 1.0)
_TIMEOUT_MSEC: Final = 10_000
_MAX_ANSWER_BYTES: Final = 256 * 1024
_SETTING: Final = "event_exporter_http_post_oauth2_token_url"
_ADVICE: Final = {
    400: "check scope, audience and client",
    401: "check http_post_oauth2_client_id and http_post_oauth2_client_secret",
    403: "check the rights of the client",
    404: "correct the URL",
}
# Codes of RFC 6749, section 5.2. Nothing else of an answer is repeated, for it may hold what was sent.
_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)


def fetch_token(settings: HttpPostSettings, credentials: Credentials) -> Token:
    """Fetches a token; retries if the server is away, and once with the client's id and secret in the body.

    Servers must accept them as Basic authentication (RFC 6749, section 2.3.1); some accept them only in the body.

    Raises:
        DeliveryError: the token endpoint gives no token.
    """
    status, body = _ask_with_retries(settings, credentials, in_body=False)
    if status in {400, 401}:
        status, body = _ask_with_retries(settings, credentials, in_body=True)
    if status != 200:
        advice = f" ({_ADVICE[status]})" if status in _ADVICE else ""
        raise _error(credentials, f"the token endpoint answered {status}{_error_code(body)}{advice}")
    return _token(credentials, body)


def _ask_with_retries(settings: HttpPostSettings, credentials: Credentials, *, in_body: bool) -> tuple[int, bytes]:
    """Status and body of the answer; after trouble that may pass there are a few attempts with short pauses."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            status, body = _ask(settings, credentials, in_body=in_body)
        except pycurl.error as error:
            if attempt == _ATTEMPTS:
                text = credentials.without_secrets(str(error.args[-1]))
                raise _error(credentials, f"the request to the token endpoint failed: {text}") from None
        else:
            if attempt == _ATTEMPTS or not (status == 429 or status >= 500):
                return status, body
        time.sleep(_BACKOFF.secs(attempt))
    raise AssertionError("unreachable")


def _ask(settings: HttpPostSettings, credentials: Credentials, *, in_body: bool) -> tuple[int, bytes]:
    url = credentials.token_url
    form = {"grant_type": "client_credentials"}
    form |= {"scope": settings.http_post_oauth2_scope} if settings.http_post_oauth2_scope else {}
    form |= {"audience": settings.http_post_oauth2_audience} if settings.http_post_oauth2_audience else {}
    headers = ["Content-Type: application/x-www-form-urlencoded", "Accept: application/json", "Expect:"]
    # Never both: RFC 6749 forbids more than one method in a request, and servers answer 400.
    if in_body:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
        # Form-encoded before Basic, as RFC 6749 has it: so an id may have a colon.
        pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
        headers.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    answer = io.BytesIO()
    handle = pycurl.Curl()
    try:
        handle.setopt(pycurl.NOSIGNAL, 1)
        set_url(handle, url, by_proxy=credentials.proxy is not None)
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.TIMEOUT_MS, _TIMEOUT_MSEC)
        handle.setopt(pycurl.HTTPHEADER, headers)
        handle.setopt(pycurl.HEADEROPT, pycurl.HEADER_SEPARATE)
        handle.setopt(pycurl.USERAGENT, settings.http_client_user_agent)
        handle.setopt(pycurl.POSTFIELDS, urlencode(form))
        handle.setopt(pycurl.MAXFILESIZE_LARGE, _MAX_ANSWER_BYTES)
        handle.setopt(pycurl.WRITEDATA, answer)
        set_proxy(handle, credentials)
        if url.scheme == "https":
            set_tls(handle, settings, credentials, system_trust())
        handle.perform()
        return int(handle.getinfo(pycurl.RESPONSE_CODE)), answer.getvalue()
    finally:
        handle.close()


def _token(credentials: Credentials, body: bytes) -> Token:
    answer = _parsed(body)
    text, kind, lifetime = answer.get("access_token"), answer.get("token_type", "bearer"), answer.get("expires_in")
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
        raise _error(credentials, "the answer of the token endpoint does not contain an access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _error(credentials, "the token is of a type other than bearer, which cannot be used")
    # Some servers send expires_in as a string. A token whose lifetime is not a number is used until it is refused.
    try:
        return Token(text, None if lifetime is None else max(0.0, float(lifetime)))
    except (TypeError, ValueError):
        return Token(text, None)


def _error_code(body: bytes) -> str:
    """The error code of an answer with a space before it; empty if it has none that is known."""
    code = _parsed(body).get("error")
    return f" {code}" if isinstance(code, str) and code in _ERRORS else ""


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _error(credentials: Credentials, message: str) -> DeliveryError:
    place = credentials.token_url.endpoint
    return DeliveryError(f"{_SETTING}: {place}: {message}", place)


# Google ID tokens, which Cloud Run and other Google services behind IAM need, by Google's own library.
#
# It finds a service account's key by GOOGLE_APPLICATION_CREDENTIALS, else asks the metadata server of the machine.


def fetch_google_id_token(audience: str) -> Token:
    """Fetches an ID token for an audience, usually the scheme and host of the service.

    Raises:
        DeliveryError: the library finds no credentials, or gets no token with them.
    """
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  not for those who don't use it
    from google.auth.transport.requests import Request  # noqa: PLC0415
    from google.oauth2 import id_token  # noqa: PLC0415

    find: Any = id_token.fetch_id_token_credentials
    try:
        credentials = find(audience, Request())
        credentials.refresh(Request())
    except (GoogleAuthError, OSError, ValueError) as error:
        # The library's errors may repeat answers of servers; the kind of the error says enough.
        message = (
            f"http_post_auth = google-id-token: cannot get a token on this worker: {type(error).__name__} "
            "(run it as a service account, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file)"
        )
        raise DeliveryError(message) from None
    text, expiry = credentials.token, credentials.expiry
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise DeliveryError("http_post_auth = google-id-token: the library returned a value that is not a token")
    # The library's expiry is in UTC, but without a time zone.
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return Token(text, None if expiry is None else max(0.0, (expiry - now).total_seconds()))


# What requests are sent with.


class Shown(NamedTuple):
    """URL and credentials of a request; one that was refused is sent again only if these have changed.

    Attributes:
        url: without user and password.
        headers: those of the settings, and Authorization.
        token: the token in Authorization if it was fetched, else empty.
        proxy: user and password for the proxy.
    """

    url: str
    headers: tuple[str, ...]
    token: str
    proxy: tuple[str, str]


class Access:
    """The credentials of one look-up, and the token cache if the settings need a token.

    Attributes:
        credentials: used until another `Access` replaces this one.

    Raises:
        DeliveryError: a secret cannot be looked up.
    """

    def __init__(self, settings: HttpPostSettings) -> None:
        self.credentials = Credentials(settings)
        fetched = settings.http_post_auth in {"oauth2", "google-id-token"}
        self._tokens: TokenCache | None = _tokens_of(settings, self.credentials) if fetched else None

    def shown(self) -> Shown:
        """URL and credentials for requests that start now.

        Raises:
            DeliveryError: a token is needed and cannot be fetched.
        """
        found = self.credentials
        token = self._tokens.text() if self._tokens is not None else ""
        headers = (*found.headers, f"Authorization: Bearer {token}") if token else found.headers
        return Shown(found.url.without_credentials, headers, token, (found.proxy_user, found.proxy_password))

    def refuse_token(self, token: str) -> None:
        """Replaces a token that the target refused; the next `shown` has the new one.

        Raises:
            DeliveryError: a new token cannot be fetched.
        """
        if self._tokens is not None:
            self._tokens.refuse(token)


def _tokens_of(settings: HttpPostSettings, credentials: Credentials) -> TokenCache:
    url = credentials.url
    audience = settings.http_post_google_audience or url.without_credentials.removesuffix(url.target)
    return _token_cache(settings, credentials.client_id, credentials.client_secret, audience)


@lru_cache(maxsize=64)
def _token_cache(settings: HttpPostSettings, _client_id: str, _client_secret: str, audience: str) -> TokenCache:
    """The token cache of all connections of this process with the same settings and the same client."""
    if settings.http_post_auth == "oauth2":
        # Credentials are looked up for each fetch: a client secret in a file may have been replaced.
        return TokenCache(lambda: fetch_token(settings, Credentials(settings)))
    return TokenCache(lambda: fetch_google_id_token(audience))
