"""Google ID tokens, which Cloud Run and other Google services behind IAM ask for, by Google's own library.

It finds a service account's key by GOOGLE_APPLICATION_CREDENTIALS, else asks the metadata server of the machine.
"""

from __future__ import annotations

import datetime
from typing import Any

from dovebeam.transforms.drivers.http.tokens import Token
from dovebeam.transforms.errors import DeliveryError

__all__ = ["fetch_google_id_token"]


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
            f"http_post_auth = google-id-token: no token can be had on this worker: {type(error).__name__} "
            "(run it as a service account, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file)"
        )
        raise DeliveryError(message) from None
    text, expiry = credentials.token, credentials.expiry
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise DeliveryError("http_post_auth = google-id-token: the token that came is none")
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)  # as naive as the library's
    return Token(text, None if expiry is None else max(0.0, (expiry - now).total_seconds()))
