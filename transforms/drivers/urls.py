"""An HTTP URL as Dovecot's HTTP client reads it, taken apart or refused.

Dovecot looks at `http_post_url` for each request only, so a URL that it refuses loses every event. Its rules are those
of RFC 3986, appendix A, with these of its own, found by trying and in its sources (lib-http, lib):

- `//HOST/` without a scheme is http; a host is a DNS name, with `%XX` for letters and digits, or an address.
- `.` and `..` are resolved (RFC 3986, section 5.2.4), but not where they are written as `%2e`; all other bytes of path
  and query stay as they are written.
- User information may be a user without a password, or any characters in `%XX` except NUL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.drivers.url_authority import split_authority
from dovebeam.transforms.drivers.url_text import PLAIN, HttpUrlError, bytes_of, component_end, refuse, shown

__all__ = [
    "HttpUrlError",
    "HttpUrlParts",
    "http_query_error",
    "http_url_error",
    "is_url_reference",
    "sends_no_user",
    "split_http_url",
]

_REFERENCE: Final = re.compile(r"(?:env|file|gsm|type:GcpSecret;version_name):", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,63}):")
_SEGMENT: Final = re.compile(rf"[{PLAIN}:@]*")
_QUERY: Final = re.compile(rf"[{PLAIN}:@/?]*")

_BEGIN: Final = "begin it with http:// or https://"
_ESCAPE: Final = "write it as %XX"


@dataclass(frozen=True, slots=True)
class HttpUrlParts:
    """What Dovecot makes of a URL.

    Attributes:
        scheme: "http" or "https".
        host: a name, or an address in its usual form, IPv6 in brackets.
        port: None if the URL names none.
        user: decoded; None without user information.
        password: decoded; None if the user information has no colon.
        path: with dot segments resolved, otherwise as written; at least "/".
        query: as written, without the question mark; None without one.
    """

    scheme: str
    host: str
    port: int | None
    user: bytes | None = field(repr=False)
    password: bytes | None = field(repr=False)
    path: str = field(repr=False)
    query: str | None = field(repr=False)


def split_http_url(url: str) -> HttpUrlParts:
    """Takes a URL apart.

    Raises:
        HttpUrlError: Dovecot cannot request it.
    """
    text = bytes_of(url)
    scheme, at = _scheme(text)
    authority, at = split_authority(text, at)
    path, at = _path(text, at)
    query, at = _query(text, at)
    _refuse_fragment(text, at)
    return HttpUrlParts(scheme, *authority, path, query)


def http_url_error(url: str) -> HttpUrlError | None:
    """What Dovecot's HTTP client says against this URL."""
    try:
        split_http_url(url)
    except HttpUrlError as error:
        return error
    return None


def sends_no_user(url: str) -> bool:
    """Whether a URL that Dovecot can request has a user without a password, or the other way round."""
    if is_url_reference(url):
        return False
    parts = split_http_url(url)
    return parts.user is not None and not (parts.user and parts.password is not None)


def http_query_error(query: str) -> HttpUrlError | None:
    """What Dovecot's HTTP client would say against a query (without its question mark)."""
    try:
        text = f"?{bytes_of(query)}"
        _refuse_fragment(text, _query(text, 0)[1])
    except HttpUrlError as error:
        return error
    return None


def is_url_reference(text: str) -> bool:
    """Whether a text says where the URL of `http_post_url` is, which is an extension; the driver looks at the rest."""
    return _REFERENCE.match(text) is not None


def _scheme(text: str) -> tuple[str, int]:
    """The scheme, and where the authority begins."""
    found = _SCHEME.match(text)
    scheme, at = (found[1].lower(), found.end()) if found else ("", 0)
    if scheme not in {"", "http", "https"}:
        refuse("Not an HTTP URL", _BEGIN)
    if not text.startswith("//", at):
        refuse("Absolute HTTP URL requires `//' after `http:'" if scheme else "Relative HTTP URL not allowed", _BEGIN)
    return scheme or "http", at + 2


def _path(text: str, at: int) -> tuple[str, int]:
    """The path; each `..` takes away what stands before it."""
    segments: list[str] = []
    segment = ""
    while text.startswith("/", at):
        end = component_end(text, at + 1, _SEGMENT)
        if text[end : end + 1] not in {"", "/", "?", "#"}:
            refuse(f"Path component contains invalid character {shown(text[end])}", _ESCAPE)
        segment = text[at + 1 : end]
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
        at = end
    if segment in {".", ".."}:
        segments.append("")
    return "/" + "/".join(segments), at


def _query(text: str, at: int) -> tuple[str | None, int]:
    if not text.startswith("?", at):
        return None, at
    end = component_end(text, at + 1, _QUERY)
    if text[end : end + 1] not in {"", "#"}:
        refuse(f"Query component contains invalid character {shown(text[end])}", _ESCAPE)
    return text[at + 1 : end], end


def _refuse_fragment(text: str, at: int) -> None:
    """All that can be left of a URL is a fragment, which no request has."""
    if at == len(text):
        return
    end = component_end(text, at + 1, _QUERY)
    if end < len(text):
        refuse(f"Fragment component contains invalid character {shown(text[end])}", "remove the part from # on")
    refuse("URL fragment not allowed for HTTP URL in this context", "remove the part from # on")
