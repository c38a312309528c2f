"""Dovecot's reading of an HTTP URL in a setting, as far as a configuration can be wrong about it.

Rules from Dovecot's configuration language, tables "event_exporter" and "HTTP settings": Dovecot looks at the URL for
each request only, so every one of these mistakes would lose every event.
"""

from __future__ import annotations

import re

__all__ = ["http_url_error", "is_url_reference", "split_http_url"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_REFERENCE = re.compile(r"(?:env|file|gsm|type:GcpSecret;version_name):", re.IGNORECASE)
_BAD = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]|[^\x00-\x7f]")


def http_url_error(url: str) -> str:
    """What Dovecot's HTTP client says against this URL, or an empty string."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return "Relative HTTP URL not allowed"
    if scheme[1].lower() not in {"http", "https"}:
        return "Not an HTTP URL"
    rest = url[scheme.end() :]
    if not rest.startswith("//"):
        return "HTTP URL does not allow empty host identifier"
    authority = re.split(r"[/?#]", rest[2:], maxsplit=1)[0]
    host, port = split_http_url(authority.rpartition("@")[2])
    if not host:
        return "HTTP URL does not allow empty host identifier"
    if _BAD.search(authority):
        return "Invalid host identifier"
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        return "Invalid port number"
    path = rest[2 + len(authority) :]
    if "#" in path:
        return "URL fragment not allowed for HTTP URL in this context"
    bad = _BAD.search(path)
    if bad is not None:
        byte = bad[0].encode("utf-8", "surrogateescape")[0]
        return f"Path component contains invalid character <0x{byte:02x}>"
    return ""


def is_url_reference(text: str) -> bool:
    """Whether a text says where the URL of `http_post_url` is, which is an extension; the driver looks at the rest."""
    return _REFERENCE.match(text) is not None


def split_http_url(host_and_port: str) -> tuple[str, str]:
    """Host and port text of an authority without user information."""
    if host_and_port.startswith("["):
        host, bracket, rest = host_and_port.partition("]")
        return (host + bracket if bracket else ""), rest.removeprefix(":")
    host, _, port = host_and_port.partition(":")
    return host, port
