"""What the Pub/Sub client raises, in our words: trouble that passes, and what somebody must repair."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from dovebeam.transforms.sources import SourceError

__all__ = ["PubSubRefusedError", "PubSubUnavailableError", "translated"]

_MAX_TEXT_CHARS: Final = 500
_INSTALL: Final = "reading from Pub/Sub needs Google's client; install dovebeam[gcp]"
_LOG_IN: Final = (
    "there are no credentials for Google Cloud; run `gcloud auth application-default login`, or let "
    "GOOGLE_APPLICATION_CREDENTIALS name a key file"
)
_REPAIRS: Final = {
    "NOT_FOUND": "does not exist; create it or correct the name",
    "PERMISSION_DENIED": "this account may not use it; give it roles/pubsub.subscriber",
    "UNAUTHENTICATED": "the service does not accept the credentials; renew them",
}
"""What somebody must repair, by the code of the status."""

_REFUSED: Final = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})
"""Codes for what is wrong with a request; all that are not named here are trouble that passes."""


class PubSubUnavailableError(SourceError):
    """The service does not answer, or not now. Trying again later may help."""


class PubSubRefusedError(SourceError):
    """The service refuses a request as it is: a subscription that pushes cannot be pulled, a lease has ended."""


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Raises what Google's libraries raise within the block as an error about `name`.

    Raises:
        PubSubUnavailableError: it may pass.
        PubSubRefusedError: this request cannot succeed.
        SourceError: somebody must repair it.
    """
    try:
        from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415  an extra
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(_INSTALL, name) from error
    try:
        yield
    except ImportError as error:
        raise SourceError(_INSTALL, name) from error
    except DefaultCredentialsError as error:
        raise SourceError(_LOG_IN, name) from error
    except GoogleAPICallError as error:
        raise _of_status(error, name) from error
    except RetryError as error:
        raise PubSubUnavailableError("the service does not answer", name) from error
    except GoogleAuthError as error:
        if getattr(error, "retryable", False):
            raise PubSubUnavailableError("no access token can be had now", name) from error
        raise SourceError("the service for access tokens refuses the credentials; renew them", name) from error


def _of_status(error: Exception, name: str) -> SourceError:
    status = getattr(getattr(error, "grpc_status_code", None), "name", "")
    told = str(getattr(error, "message", ""))[:_MAX_TEXT_CHARS]
    if status in _REPAIRS:
        return SourceError(f"{_REPAIRS[status]} ({told})", name)
    if status in _REFUSED:
        return PubSubRefusedError(f"the service refuses the request: {status}: {told}", name)
    what = status or type(error).__name__
    return PubSubUnavailableError(f"the service does not answer properly: {what}: {told}", name)
