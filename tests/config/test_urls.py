"""HTTP URLs as Dovecot's client reads them."""

from __future__ import annotations

import pytest

from dovebeam.transforms.config.urls import http_url_error


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://h/", ""),
        ("HTTPS://h", ""),
        ("https://u:p%40@h.example:8443/a/b?c=d&e=%20", ""),
        ("http://[2001:db8::1]:80/x", ""),
        ("http://127.0.0.1", ""),
        ("", "Relative HTTP URL not allowed"),
        ("/x", "Relative HTTP URL not allowed"),
        ("//h/x", "Relative HTTP URL not allowed"),
        ("ftp://h/", "Not an HTTP URL"),
        ("http:", "HTTP URL does not allow empty host identifier"),
        ("http://", "HTTP URL does not allow empty host identifier"),
        ("http://u@:80/", "HTTP URL does not allow empty host identifier"),
        ("http://[::1/", "HTTP URL does not allow empty host identifier"),
        ("http://h:0/", "Invalid port number"),
        ("http://h:x/", "Invalid port number"),
        ("http://h:70000/", "Invalid port number"),
        ("http://h/#a", "URL fragment not allowed for HTTP URL in this context"),
        ("http://h/x\n", "Path component contains invalid character <0x0a>"),
        ("http://h/a b", "Path component contains invalid character <0x20>"),
        ("http://h/ä", "Path component contains invalid character <0xc3>"),
        ("http://h\n", "Invalid host identifier"),
    ],
)
def test_http_url_error(url: str, error: str) -> None:
    """Dovecot's reason, or nothing."""
    assert http_url_error(url) == error
