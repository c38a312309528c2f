"""The settings of `WriteToHttp`: those of dovecot.conf, all mistakes at once, and no secret in a pipeline's text."""

from dataclasses import fields
from typing import Any

import pytest

from dovebeam.transforms.drivers import HttpPostDriver
from dovebeam.transforms.yaml.export import DEFAULTS, make_http_driver

URL = "https://in.example.com/events"
SEEN = "everyone who may see the job can read the text of its pipeline"


def driver_of(**settings: Any) -> HttpPostDriver:
    """The driver with these settings."""
    return make_http_driver(URL, {}, settings, "json")


@pytest.mark.parametrize(
    ("setting", "value", "field", "expected"),
    [
        ("http_post_batch_max_events", 500, "http_post_batch_max_events", 500),
        ("event_exporter_http_post_batch_max_events", "500", "http_post_batch_max_events", 500),
        ("http_post_batch_max_bytes", "2M", "http_post_batch_max_bytes", 2 << 20),
        ("http_post_batch_max_time", "2s", "http_post_batch_max_time_msec", 2000),
        ("http_post_adaptive_concurrency", False, "http_post_adaptive_concurrency", False),
        ("http_post_adaptive_concurrency", "no", "http_post_adaptive_concurrency", False),
        ("http_post_compression", "gzip", "http_post_compression", "gzip"),
        ("http_client_request_absolute_timeout", "1 mins", "http_client_request_absolute_timeout_msec", 60_000),
        ("http_client_request_max_attempts", 1, "http_client_request_max_attempts", 1),
        ("ssl_min_protocol", "TLSv1.3", "ssl_min_protocol", "TLSv1.3"),
        ("http_post_retry_statuses", "500-599", "http_post_retry_statuses", "500-599"),
    ],
)
def test_values(setting: str, value: Any, field: str, expected: Any) -> None:
    """Numbers and booleans of YAML, or texts as in dovecot.conf."""
    assert getattr(driver_of(**{setting: value}), field) == expected


def test_defaults() -> None:
    """Without settings a pipeline waits longer than Dovecot, and tries again."""
    driver = driver_of()
    assert (driver.attempt_timeout_msec, driver.max_attempts) == (10_000, 5)
    assert set(DEFAULTS) == {"http_client_request_absolute_timeout", "http_client_request_max_attempts"}


def test_every_setting_of_the_driver_can_be_set() -> None:
    """None is left out but those with a place of their own."""
    from dovebeam.transforms.yaml.export import _FIELDS

    own = {"http_post_url", "http_post_headers", "format"}
    assert {field.name for field in fields(HttpPostDriver)} == {*(name for name, _ in _FIELDS.values()), *own}


SECRET = "pa55word"


@pytest.mark.parametrize(
    ("url", "headers", "settings", "text"),
    [
        ("nonsense", {}, {}, "url: "),
        (f"https://u:{SECRET}@h/", {}, {}, f"url: {SEEN}, with user and password; use http_post_auth: basic"),
        (f"https://h/?key={SECRET}", {}, {}, "url: its query may be a secret; write it as http_post_query"),
        (URL, {"X-Key": SECRET}, {}, f"headers: X-Key: {SEEN}; write env:NAME, file:/PATH"),
        (URL, {"Host": "plain:x"}, {}, "header Host: it cannot be set like this"),
        (URL, {"X-Key": "env:1"}, {}, "header X-Key: after env: stands the name"),
        (URL, {}, {"http_post_auth": "bearer", "http_post_auth_token": SECRET}, "http_post_auth_token: everyone who may see"),
        (URL, {}, {"http_post_query": SECRET}, f"http_post_query: {SEEN}"),
        (URL, {}, {"http_client_proxy_url": f"http://u:{SECRET}@p:1"}, f"http_client_proxy_url: {SEEN}"),
        (URL, {}, {"http_post_auth": "bearer"}, "http_post_auth_token: http_post_auth = bearer needs it"),
        (URL, {}, {"http_post_batch_max_event": 5}, "unknown setting .*; did you mean 'http_post_batch_max_events'"),
        (URL, {}, {"http_post_url": "x"}, "http_post_url is a parameter of its own: write it as url"),
        (URL, {}, {"event_exporter_http_post_headers": "x"}, "write it as headers"),
        (URL, {}, {"http_post_batch_max_time": "soon"}, "http_post_batch_max_time: "),
        (URL, {}, {"http_post_batch_max_events": [5]}, "write a number, true, false or a text"),
        (URL, {}, {"http_post_batch_max_events": 0}, "it must not be 0"),
    ],
)  # fmt: skip
def test_mistakes(url: str, headers: Any, settings: Any, text: str) -> None:
    """Each says which setting, what is wrong and what to write; none repeats a secret."""
    with pytest.raises(ValueError, match=text) as caught:
        make_http_driver(url, headers, settings, "json")
    assert SECRET not in str(caught.value)


def test_all_mistakes_at_once() -> None:
    """Two wrong settings are two lines."""
    with pytest.raises(ValueError, match=r"unknown setting 'a'.*\n.*unknown setting 'b'"):
        driver_of(a=1, b=2)
