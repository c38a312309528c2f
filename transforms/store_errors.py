"""What one of Beam's file systems says when it cannot do something, for the texts of our own errors."""

import http.client
import re
from typing import Final

from apache_beam.io.filesystem import BeamIOError

from dovebeam.transforms.local_files import file_url_path
from dovebeam.transforms.sources.streams import error_text

__all__ = ["store_error_text"]

_LONGEST_CHARS: Final = 500
_UNKNOWN: Final = re.compile(r"Unable to get filesystem .* Path specified: (([^:]+)://.*)", re.DOTALL)


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
    return (_answered(error) or _unknown(error) or error_text(error))[:_LONGEST_CHARS]


def _unknown(error: Exception) -> str:
    """What to do about a URL for which Beam has no file system here; empty for another error."""
    found = _UNKNOWN.match(str(error)) if isinstance(error, ValueError) else None
    if found is None:
        return ""
    path = file_url_path(found[1])
    if path:
        return f"it is a URL of a file of this machine; write its path, {path}"
    return f"nothing here can read or write {found[2]}:// (correct the URL, or install what Apache Beam needs for it)"


def _answered(error: Exception) -> str:
    """What a store answered; empty if it did not, or not as Google does."""
    answer = getattr(error, "response", None)
    try:
        message = answer.json()["error"]["message"]  # type: ignore[union-attr]
        return f"{answer.status_code} {answer.reason}: {message}"  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""
