"""What stores say, in the texts of errors."""

from __future__ import annotations

import pytest
import requests
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from google.cloud.storage.exceptions import InvalidResponse

from dovebeam.transforms.filesystems import store_error_text


def answered(status: int, body: bytes) -> InvalidResponse:
    """What Google's client raises for an answer to an upload."""
    response = requests.Response()
    response.status_code, response.reason, response._content = status, "Forbidden", body
    return InvalidResponse(response, "Request failed with status code", status)


def unknown(url: str) -> Exception:
    """What Beam says of a URL whose file system it does not have."""
    with pytest.raises(ValueError, match="filesystem") as caught:
        FileSystems.get_filesystem(url)
    return caught.value


MISSING = "w@p.example does not have storage.objects.create access"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("x"), "ValueError: x"),
        (BeamIOError("Match failed", {"gs://a/b": ValueError("x")}), "ValueError: x"),
        (unknown("file:///tmp/a b"), "it is a URL of a file of this machine; write its path, /tmp/a b"),
        (
            unknown("ftp://h/a"),
            "no installed file system can read or write ftp:// (correct the URL, or install what Apache Beam needs for it)",
        ),
        (BeamIOError("Rename failed", {("gs://a/b", "gs://a/c"): 403}), "403 Forbidden"),
        (BeamIOError("Rename failed", {("gs://a/b", "gs://a/c"): 799}), "799 unknown status"),
        (answered(403, b'{"error": {"code": 403, "message": "%s"}}' % MISSING.encode()), f"403 Forbidden: {MISSING}"),
        (answered(403, b"<html>"), "InvalidResponse: ('Request failed with status code', 403)"),
        (answered(403, b"[]"), "InvalidResponse: ('Request failed with status code', 403)"),
        (ValueError("x" * 1000), f"ValueError: {'x' * 488}"),
    ],
)
def test_text(error: Exception, text: str) -> None:
    """The reason, short, without what Beam or Google's client wraps around it."""
    assert store_error_text(error) == text
