"""What one of Beam's file systems says when it cannot do something, for the texts of our own errors."""

import http.client
from typing import Final

from apache_beam.io.filesystem import BeamIOError

from dovebeam.transforms.sources.streams import error_text

__all__ = ["store_error_text"]

_LONGEST_CHARS: Final = 500


def store_error_text(error: Exception) -> str:
    """The text of an exception, without what Beam wraps around it.

    Of Google's it is the status with the store's own message, which names the permission that is missing.
    """
    while isinstance(error, BeamIOError) and error.exception_details:
        inner = next(iter(error.exception_details.values()))
        if isinstance(inner, int):  # of a request within a batch
            return f"{inner} {http.client.responses.get(inner, 'is what the store answered')}"
        if not isinstance(inner, Exception):
            break
        error = inner
    return (_answered(error) or error_text(error))[:_LONGEST_CHARS]


def _answered(error: Exception) -> str:
    """What a store answered; empty if it did not, or not as Google does."""
    answer = getattr(error, "response", None)
    try:
        message = answer.json()["error"]["message"]  # type: ignore[union-attr]
        return f"{answer.status_code} {answer.reason}: {message}"  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""
