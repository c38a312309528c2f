"""HTTP URLs as Dovecot's client reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.urls import HttpUrlError, http_query_error, http_url_error, split_http_url
from support.config_text import reading


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "query"),
    [
        ("http://h", "http", "h", None, "/", None),
        ("HTTPS://h", "https", "h", None, "/", None),
        ("//h/x", "http", "h", None, "/x", None),
        ("https://u:p%40@h.example:8443/a/b?c=d&e=%20", "https", "h.example", 8443, "/a/b", "c=d&e=%20"),
        ("http://[2001:DB8:0::1]:80/x", "http", "[2001:db8::1]", 80, "/x", None),
        ("http://[::ffff:1.2.3.4]", "http", "[::ffff:1.2.3.4]", None, "/", None),
        ("http://127.0.0.1", "http", "127.0.0.1", None, "/", None),
        ("http://010.0.0.01/", "http", "10.0.0.1", None, "/", None),
        ("http://300.0.0.1/", "http", "300.0.0.1", None, "/", None),
        ("http://a-b.C.:00080", "http", "a-b.C", 80, "/", None),
        ("http://ex%61mp%6ce.com/", "http", "example.com", None, "/", None),
        ("http://h:/p", "http", "h", None, "/p", None),
        ("http://h?x=1?/", "http", "h", None, "/", "x=1?/"),
        ("http://h?", "http", "h", None, "/", ""),
        ("http://h/a@b:c;d", "http", "h", None, "/a@b:c;d", None),
        ("http://h/u06/./a/../b", "http", "h", None, "/u06/b", None),
        ("http://h/.", "http", "h", None, "/", None),
        ("http://h/..", "http", "h", None, "/", None),
        ("http://h/../../x", "http", "h", None, "/x", None),
        ("http://h/a/..", "http", "h", None, "/", None),
        ("http://h/a/b/..?q", "http", "h", None, "/a/", "q"),
        ("http://h/a/.", "http", "h", None, "/a/", None),
        ("http://h//a//../b/", "http", "h", None, "//a/b/", None),
        ("http://h/.../..a/.b", "http", "h", None, "/.../..a/.b", None),
        ("http://h/a/%2e%2E/b", "http", "h", None, "/a/%2e%2E/b", None),
        ("http://h/%2f%0a?%2f/../", "http", "h", None, "/%2f%0a", "%2f/../"),
    ],
)
def test_parts(url: str, scheme: str, host: str, port: int | None, path: str, query: str | None) -> None:
    """What Dovecot requests, and where."""
    parts = split_http_url(url)
    assert (parts.scheme, parts.host, parts.port, parts.path, parts.query) == (scheme, host, port, path, query)


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("", None, None),
        ("@", b"", None),
        ("u@", b"u", None),
        (":pw@", b"", b"pw"),
        ("u:@", b"u", b""),
        ("u:p:q@", b"u", b"p:q"),
        ("u%40x:p%3Aq%2F%0a@", b"u@x", b"p:q/\n"),
        ("u:caf%C3%A9%FF@", b"u", b"caf\xc3\xa9\xff"),
    ],
)
def test_user_information(userinfo: str, user: bytes | None, password: bytes | None) -> None:
    """What is before the @, decoded."""
    parts = split_http_url(f"http://{userinfo}h/")
    assert (parts.user, parts.password) == (user, password)


_NO_HOST = "HTTP URL does not allow empty host identifier"
_NO_SLASHES = "Absolute HTTP URL requires `//' after `http:'"
_RELATIVE = "Relative HTTP URL not allowed"
_FRAGMENT = "URL fragment not allowed for HTTP URL in this context"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", _RELATIVE),
        ("/x", _RELATIVE),
        ("h/x", _RELATIVE),
        ("1.2.3.4:80/x", _RELATIVE),
        (f"{65 * 'x'}://h/", _RELATIVE),
        ("ftp://h/", "Not an HTTP URL"),
        ("host:80/x", "Not an HTTP URL"),
        ("http:", _NO_SLASHES),
        ("https:/h", _NO_SLASHES),
        ("http://", _NO_HOST),
        ("http:///p", _NO_HOST),
        ("http://u@:80/", _NO_HOST),
        ("http://u:p@/", _NO_HOST),
        ("http://[::1/", "Expecting ']' at end of IP-literal"),
        ("http://[]/", "Empty IPv6 host address"),
        ("http://[v1.x]/", "Future IP host address 'v1.x' not supported"),
        ("http://[::g]/", "Invalid IPv6 host address '::g'"),
        ("http://[127.0.0.1]/", "Invalid IPv6 host address '127.0.0.1'"),
        ("http://[pass]word@h/", "Invalid IPv6 host address '***'"),
        ("http://[::1]x/", "Invalid host identifier"),
        ("http://1.2.3.4.5/", "Invalid host identifier"),
        ("http://my_host/", "Invalid host identifier"),
        ("http://a..b/", "Invalid host identifier"),
        ("http://h\n", "Invalid host identifier"),
        ("http://a b/", "Invalid host identifier"),
        ("http://h\u00e4/", "Invalid host identifier"),
        ("http://u:p@x@h/", "Invalid host identifier"),
        ("http://a-/", "Invalid domain label in hostname"),
        ("http://a-.b/", "Invalid domain label in hostname"),
        ("http://%61/", "Invalid domain label in hostname"),
        ("http://h%00/", "Percent encoding is not allowed to encode NUL character"),
        ("http://h%2e/", "Invalid percent encoding in hostname"),
        ("http://h:0/", "Invalid port number"),
        ("http://h:65536/", "Invalid port number"),
        (f"http://h:{5000 * '9'}/", "Invalid port number"),
        ("http://h:x/", "Invalid host port"),
        ("http://h:80x/", "Invalid host port"),
        ("http://u:pa/ss@h/", "Invalid host port"),
        ("http://u:p%zz@h/", "Expecting hex digit after '%', but found 'z'"),
        ("http://u%:p@h/", "Expecting hex digit after '%', but found ':'"),
        ("http://u:p%4@h/", "Unexpected URI boundary after '%'"),
        ("http://u:p%00@h/", "Percent encoding is not allowed to encode NUL character"),
        ("http://h/a%zz", "Expecting hex digit after '%', but found 'z'"),
        ("http://h/a%4/", "Expecting hex digit after '%4', but found '/'"),
        ("http://h/a%", "Unexpected URI boundary after '%'"),
        ("http://h/a%4", "Unexpected URI boundary after '%'"),
        ("http://h/%00", "Percent encoding is not allowed to encode NUL character"),
        ("http://h/x\n", "Path component contains invalid character <0x0a>"),
        ("http://h/a b", "Path component contains invalid character ' '"),
        ("http://h/\u00e4", "Path component contains invalid character <0xc3>"),
        ("http://h/\udcff", "Path component contains invalid character <0xff>"),
        ("http://h/[", "Path component contains invalid character '['"),
        ("http://h/?a b", "Query component contains invalid character ' '"),
        ("http://h?%zz", "Expecting hex digit after '%', but found 'z'"),
        ("http://h/?[", "Query component contains invalid character '['"),
        ("http://h/#a", _FRAGMENT),
        ("http://h/?a#", _FRAGMENT),
        ("http://h#a b", "Fragment component contains invalid character ' '"),
    ],
)
def test_http_url_error(url: str, error: str) -> None:
    """Dovecot's words."""
    found = http_url_error(url)
    assert found is not None
    assert found.message == error


@given(st.text(max_size=40), st.sampled_from(["", "http://", "http://h/", "http://u:p@h:1/?"]))
@example("\ud800", "http://h/")
def test_any_text_is_taken_apart_or_refused(text: str, begin: str) -> None:
    """What is accepted has no dot segments left, is ASCII, and is accepted again as the same; nothing else is raised."""
    try:
        parts = split_http_url(begin + text)
    except HttpUrlError:
        return
    target = parts.path if parts.query is None else f"{parts.path}?{parts.query}"
    port = "" if parts.port is None else f":{parts.port}"
    again = split_http_url(f"{parts.scheme}://{parts.host}{port}{target}")
    assert (again.host, again.port, again.path, again.query) == (parts.host, parts.port, parts.path, parts.query)
    assert re.fullmatch("[!-~]*", target)
    assert not {".", ".."} & set(parts.path.split("/"))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", None),
        ("a=b&c=%2f?/", None),
        ("a b", "Query component contains invalid character ' '"),
        ("a%zz", "Expecting hex digit after '%', but found 'z'"),
        ("a#b", _FRAGMENT),
    ],
)
def test_http_query_error(query: str, error: str | None) -> None:
    """The same of a query alone."""
    found = http_query_error(query)
    assert (None if found is None else found.message) == error


_EXPORTER = "event_exporter f {{\n driver = http-post\n format = json\n http_post_url = {}\n}}\n"
_METRIC = "metric m {\n filter = event=*\n exporter = f\n}\n"


@pytest.mark.parametrize(
    ("url", "error", "warned"),
    [
        ("http://u:hunter2@h/", "", False),
        ("http://hunter2@h/", "", True),
        ("http://:hunter2@h/", "", True),
        ("env:URL", "", False),
        ("http://u:hunter2@h/%zz", "Invalid HTTP URL: Expecting hex digit after '%', but found 'z'", False),
        ("http://h/?a b&c=hunter2", "Invalid HTTP URL: Query component contains invalid character ' '", False),
        ("http://u:hunter2/x@h/", "Invalid HTTP URL: Invalid host port", False),
    ],
)
def test_url_of_an_exporter(tmp_path: Path, url: str, error: str, warned: bool) -> None:
    """Dovecot's words, and a warning where it leaves the user out; never the secret."""
    found = reading(tmp_path, _EXPORTER.format(url) + _METRIC)
    problems = [finding.problem for finding in (*found.report.errors, *found.report.warnings)]
    shown = "\n".join(f"{problem.message} {problem.suggestion}" for problem in problems)
    assert error in shown
    assert bool(found.report.errors) is bool(error)
    assert ("sent only together" in shown) is warned
    assert "hunter2" not in shown
