"""Client of Google Secret Manager's REST API, with the credentials that Google's libraries find on the worker.

google-auth and requests come with the client of Cloud Storage, so this needs no further library. They are loaded only
when a secret is fetched.
"""

from __future__ import annotations

import binascii
import os
import re
from typing import Any, Final

from dovebeam.transforms.errors import DeliveryError

__all__ = ["ENDPOINT_VARIABLE", "VERSION", "fetch_secret"]

ENDPOINT_VARIABLE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"
"""The environment variable that gives gcloud another endpoint, such as one inside a private network."""

VERSION: Final = re.compile(
    r"projects/[A-Za-z0-9:.\-]{1,100}(?:/locations/([a-z0-9\-]{1,60}))?"
    r"/secrets/[A-Za-z0-9_\-]{1,255}/versions/[A-Za-z0-9_\-]{1,63}\Z"
)
"""The full name of a version of a secret, global or regional."""

# The only scope that Secret Manager accepts; what may be read is decided by IAM.
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_SECS: Final = 20
_ADVICE: Final = {
    401: "check the credentials of the worker",
    403: "give the worker's service account the role roles/secretmanager.secretAccessor",
    404: "create the secret, or correct its name",
    400: "enable the version of the secret, or correct its name",
}


def fetch_secret(setting: str, version: str) -> str:
    """Fetches the text of a secret's version.

    Args:
        setting: the setting that refers to it, for errors.
        version: full name, as `VERSION` matches it.

    Raises:
        DeliveryError: the request failed, or its answer is not valid.
    """
    import google.auth  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.auth.transport import requests as transport  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    make_session: Any = transport.AuthorizedSession
    url = f"{_endpoint(setting, version)}/v1/{version}:access"
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        with make_session(credentials) as session:
            # A redirect would take the access token to another host.
            answer = session.get(url, timeout=_TIMEOUT_SECS, allow_redirects=False)
            status, body = answer.status_code, answer.json() if answer.status_code == 200 else None
    except (GoogleAuthError, RequestException) as error:
        # Their texts may repeat whole requests; the kind of the error says enough.
        message = f"the request to Secret Manager failed: {type(error).__name__} (check network and credentials)"
        raise _error(setting, version, message) from None
    if status != 200:
        advice = f" ({_ADVICE[status]})" if status in _ADVICE else ""
        raise _error(setting, version, f"Secret Manager answered {status}{advice}")
    return _payload(setting, version, body)


def _payload(setting: str, version: str, body: Any) -> str:
    """The secret in an answer, with its checksum verified."""
    import base64  # noqa: PLC0415

    from google_crc32c import value  # noqa: PLC0415

    try:
        data = base64.b64decode(body["payload"]["data"], validate=True)
        # The checksum is optional in the API; without one there is nothing to compare.
        expected = int(body["payload"].get("dataCrc32c", value(data)))
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        raise _error(setting, version, "the answer of Secret Manager does not contain a secret") from None
    if value(data) != expected:
        raise _error(setting, version, "the secret was damaged in transit; its checksum differs")
    return data.decode("utf-8", "surrogateescape")


def _endpoint(setting: str, version: str) -> str:
    """Google's endpoint, or the one that the environment sets."""
    override = os.environ.get(ENDPOINT_VARIABLE, "").rstrip("/")
    if override:
        from urllib.parse import urlsplit  # noqa: PLC0415

        parts = urlsplit(override)
        # Without TLS the token and the secret could be read on the way; a local proxy or emulator is the exception.
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise _error(setting, version, f"{ENDPOINT_VARIABLE} must begin with https://")
        return override
    found = VERSION.match(version)
    location = found[1] if found else None
    return (
        f"https://secretmanager.{location}.rep.googleapis.com" if location else "https://secretmanager.googleapis.com"
    )


def _error(setting: str, version: str, message: str) -> DeliveryError:
    return DeliveryError(f"{setting}: gsm:{version}: {message}")
