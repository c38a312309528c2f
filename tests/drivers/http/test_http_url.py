"""URLs taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.drivers.secrets.secret_url import parse_http_url, same_site
from dovebeam.transforms.errors import DriverSettingError


@pytest.mark.parametrize(
    ("text", "request_url", "endpoint", "credentials"),
    [
        ("http://h", "http://h/", "http://h:80", None),
        ("https://h", "https://h/", "https://h:443", None),
        ("HTTP://Host.Example:8080/A/b?x=1", "http://host.example:8080/A/b?x=1", "http://host.example:8080", None),
        ("http://h?x=1", "http://h/?x=1", "http://h:80", None),
        ("http://h:/p", "http://h/p", "http://h:80", None),
        ("http://[2001:DB8::1]:81/p", "http://[2001:db8::1]:81/p", "http://[2001:db8::1]:81", None),
        ("http://u:p@h/p", "http://h/p", "http://h:80", b"u:p"),
        ("http://u:@h/p", "http://h/p", "http://h:80", b"u:"),
        ("http://u%40x:p%3Aq%2F@h/", "http://h/", "http://h:80", b"u@x:p:q/"),
        ("http://u:caf%C3%A9%FF@h/", "http://h/", "http://h:80", b"u:caf\xc3\xa9\xff"),
        ("http://h/a@b:c", "http://h/a@b:c", "http://h:80", None),
        ("http://h/../a/./b", "http://h/a/b", "http://h:80", None),
        ("http://user@h/", "http://h/", "http://h:80", None),
        ("http://:pw@h/", "http://h/", "http://h:80", None),
        ("http://u:p%0d%0a@h/", "http://h/", "http://h:80", b"u:p\r\n"),
    ],
)
def test_parts(text: str, request_url: str, endpoint: str, credentials: bytes | None) -> None:
    """What is requested, what may be shown, and what authenticates."""
    url = parse_http_url("s", text)
    assert (url.without_credentials, url.endpoint, url.credentials) == (request_url, endpoint, credentials)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Relative HTTP URL not allowed"),
        ("ftp://h/", "Not an HTTP URL"),
        ("http:///p", "empty host"),
        ("http://h:0/", "Invalid port number"),
        ("http://h/a b", "write it as %XX"),
        ("http://h/?a\r\nX: y", "Query component"),
        ("http://u%3A:p@h/", "a user with a colon"),
    ],
)
def test_what_cannot_be_requested(text: str, words: str) -> None:
    """Dovecot's words for each mistake, and the setting's name."""
    with pytest.raises(DriverSettingError, match=words) as caught:
        parse_http_url("event_exporter_http_post_url", text)
    assert caught.value.setting == "event_exporter_http_post_url"
    assert str(caught.value).startswith("event_exporter_http_post_url: Invalid HTTP URL: ")


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_parses_or_is_refused_without_being_repeated(text: str, password: str) -> None:
    """No URL makes anything but a value or the error, and neither shows what may be a secret."""
    for candidate in (text, f"http://{text}", f"https://u:{password}@{text}/"):
        try:
            url = parse_http_url("s", candidate)
        except DriverSettingError:
            continue
        assert parse_http_url("s", url.without_credentials).target == url.target
        if url.credentials:
            assert repr(url.credentials) not in repr(url)


@pytest.mark.parametrize(
    ("origin", "other", "same"),
    [
        ("http://h/a", "http://h/b", True),
        ("http://h/a", "http://H:80/b", True),
        ("http://h/", "https://h/", True),
        ("http://h:8080/", "https://h:8443/", True),
        ("https://h/", "http://h/", False),
        ("http://h/", "http://h:81/", False),
        ("http://h/", "http://other/", False),
        ("http://h/", "http://h.other/", False),
        ("https://h/", "https://h:444/", False),
    ],
)
def test_redirects_stay_where_credentials_may_go(origin: str, other: str, same: bool) -> None:
    """The same place, or the same host by TLS; nothing else."""
    assert same_site(parse_http_url("s", origin), parse_http_url("s", other)) is same
