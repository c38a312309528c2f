"""What requests show of who sends them: the headers of the credentials, and a token that is fetched and renewed."""

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


_EARLY_SECS: Final = 60.0
"""So long before its end a token is replaced, if it lives for longer than twice that; else at half its life."""

_RETRY_SECS: Final = 5.0
"""How long a failed or just finished fetch keeps the next one waiting."""


class Token(NamedTuple):
    """A token and how long it can be used, None if its server did not say."""

    text: str
    lifetime_secs: float | None


class TokenCache:
    """Keeps a token; any number of threads may use it.

    Args:
        fetch: gets a new token; raises `DeliveryError` if it cannot.
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
            DeliveryError: there is none, and none can be had.
        """
        with self._lock:
            now = time.monotonic()
            left = self._left(now)
            if self._token is not None and (left > 0 or (left > -self._margin() and now - self._tried < _RETRY_SECS)):
                return self._token.text
            return self._renewed(now)

    def refuse(self, text: str) -> None:
        """A target refused this token: another one is fetched, unless there is one already or this one came just now.

        Requests that are on their way together are refused together. Only the first of them fetches a token.

        Raises:
            DeliveryError: none can be had.
        """
        with self._lock:
            now = time.monotonic()
            if self._token is not None and self._token.text == text and now - self._fetched >= _RETRY_SECS:
                self._token = None
                self._renewed(now)

    def _renewed(self, now: float) -> str:
        """Fetches a token; one that has not ended yet is used on if that fails."""
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
        """Seconds between a token's replacement and its end."""
        lifetime = self._token.lifetime_secs if self._token is not None else None
        return 0.0 if lifetime is None else min(_EARLY_SECS, lifetime / 2)


# OAuth 2.0 client credentials (RFC 6749, section 4.4), fetched with the exporter's proxy and TLS.

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
# Codes of RFC 6749, section 5.2, the only words of an answer that are repeated.
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
    """Asks the token endpoint; tries again if it is away, and once with the other way of naming the client.

    Servers must take the client's id and secret as Basic authentication; some take them only in the body.

    Raises:
        DeliveryError: no token can be had.
    """
    status, body = _ask_with_retries(settings, credentials, in_body=False)
    if status in {400, 401}:
        status, body = _ask_with_retries(settings, credentials, in_body=True)
    if status != 200:
        advice = f" ({_ADVICE[status]})" if status in _ADVICE else ""
        raise _error(credentials, f"the token endpoint answered {status}{_error_code(body)}{advice}")
    return _token(credentials, body)


def _ask_with_retries(settings: HttpPostSettings, credentials: Credentials, *, in_body: bool) -> tuple[int, bytes]:
    """The answer; after trouble that may pass a few attempts, with random pauses below a second."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            status, body = _ask(settings, credentials, in_body=in_body)
        except pycurl.error as error:
            if attempt == _ATTEMPTS:
                text = credentials.without_secrets(str(error.args[-1]))
                raise _error(credentials, f"the token endpoint cannot be asked: {text}") from None
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
    if in_body:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
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
        raise _error(credentials, "the token endpoint's answer holds no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _error(credentials, "the token is of a type other than bearer, which cannot be used")
    try:
        return Token(text, None if lifetime is None else max(0.0, float(lifetime)))
    except (TypeError, ValueError):
        return Token(text, None)


def _error_code(body: bytes) -> str:
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


# Google ID tokens, which Cloud Run and other Google services behind IAM ask for, by Google's own library.
#
# It finds a service account's key by GOOGLE_APPLICATION_CREDENTIALS, else asks the metadata server of the machine.


def fetch_google_id_token(audience: str) -> Token:
    """A token for this audience, usually the scheme and host of the service.

    Raises:
        DeliveryError: none can be had.
    """
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  not for those who don't use it
    from google.auth.transport.requests import Request  # noqa: PLC0415
    from google.oauth2 import id_token  # noqa: PLC0415

    find: Any = id_token.fetch_id_token_credentials
    try:
        credentials = find(audience, Request())
        credentials.refresh(Request())
    except (GoogleAuthError, OSError, ValueError) as error:
        # The library's words may repeat answers of servers; the kind of the error says enough.
        message = (
            f"http_post_auth = google-id-token: cannot get a token on this worker: {type(error).__name__} "
            "(run it as a service account, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file)"
        )
        raise DeliveryError(message) from None
    text, expiry = credentials.token, credentials.expiry
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise DeliveryError("http_post_auth = google-id-token: the token that came is none")
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)  # as naive as the library's
    return Token(text, None if expiry is None else max(0.0, (expiry - now).total_seconds()))


# What requests show of who sends them: the headers of the credentials, and a token that is fetched and renewed.


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
    # HOUSE

    return TokenCache(lambda: fetch_google_id_token(audience))


def _oauth2_fetcher(settings: HttpPostSettings) -> Callable[[], Token]:
    # HOUSE

    return lambda: fetch_token(settings, Credentials(settings))
