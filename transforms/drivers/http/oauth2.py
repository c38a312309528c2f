"""OAuth 2.0 client credentials (RFC 6749, section 4.4), fetched with the exporter's proxy and TLS."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import pycurl

from dovebeam.transforms.drivers.backoff import Backoff
from dovebeam.transforms.drivers.http.credentials import Credentials
from dovebeam.transforms.drivers.http.options import set_proxy, set_tls, set_url, system_trust
from dovebeam.transforms.drivers.http.settings import HttpPostSettings
from dovebeam.transforms.drivers.http.tokens import Token
from dovebeam.transforms.errors import DeliveryError

__all__ = ["fetch_token"]

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
