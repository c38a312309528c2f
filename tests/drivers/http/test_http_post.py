"""The http-post driver's settings: what they mean, and what is refused at launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovebeam.transforms.drivers import Driver, HttpPostDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError, UnknownNameError
from support.driver_contract import SECRET, DriverContract

_URL = "http://127.0.0.1:9/"


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return HttpPostDriver(
            f"https://user:{SECRET}@127.0.0.1:9/{SECRET}?token={SECRET}",
            http_client_proxy_url=f"http://{SECRET}:{SECRET}@127.0.0.1:9",
            http_client_proxy_username=SECRET,
            http_client_proxy_password=SECRET,
            ssl_client_key_password=SECRET,
        )


@pytest.mark.parametrize(
    ("changes", "attribute", "value"),
    [
        ({}, "attempt_timeout_msec", 250),
        ({"http_client_request_absolute_timeout_msec": 0}, "attempt_timeout_msec", 60_000),
        ({"http_client_request_absolute_timeout_msec": None}, "attempt_timeout_msec", 60_000),
        ({"http_client_request_timeout_msec": 100}, "attempt_timeout_msec", 100),
        ({"http_client_write_request_timeout_msec": 99}, "attempt_timeout_msec", 99),
        (
            {"http_client_request_absolute_timeout_msec": None, "http_client_request_timeout_msec": None},
            "attempt_timeout_msec",
            0,
        ),
        ({}, "max_attempts", 1),
        ({"http_client_request_max_attempts": 3}, "max_attempts", 3),
        ({"http_client_request_max_attempts": 3, "http_client_write_request_max_attempts": 2}, "max_attempts", 2),
        ({"http_client_request_max_attempts": 3, "http_client_auto_retry": False}, "max_attempts", 1),
        ({}, "max_redirects", 0),
        ({"http_client_request_max_redirects": 2}, "max_redirects", 2),
        ({"http_client_request_max_redirects": 2, "http_client_auto_redirect": False}, "max_redirects", 0),
        ({}, "max_retry_after_secs", 60.0),
        ({"http_client_max_auto_retry_delay_msec": 5000}, "max_retry_after_secs", 5.0),
        ({"http_client_max_auto_retry_delay_msec": None}, "max_retry_after_secs", float("inf")),
        ({}, "endpoint", "http://127.0.0.1:9"),
    ],
)
def test_effective_settings(changes: dict[str, Any], attribute: str, value: object) -> None:
    """Settings of Dovecot that stand in for each other."""
    assert getattr(HttpPostDriver(_URL, **changes), attribute) == value


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"http_post_url": ""}, "event_exporter_http_post_url"),
        ({"http_client_proxy_url": "proxy:3128"}, "http_client_proxy_url"),
        ({"http_client_request_max_attempts": 0}, "http_client_request_max_attempts"),
        ({"http_client_request_timeout_msec": 0}, "http_client_request_timeout"),
        ({"http_client_max_parallel_connections": 0}, "http_client_max_parallel_connections"),
        ({"http_client_max_parallel_connections": 501}, "http_client_max_parallel_connections"),
        ({"ssl_min_protocol": "SSLv3"}, "ssl_min_protocol"),
        ({"http_post_batch_max_events": 0}, "event_exporter_http_post_batch_max_events"),
        ({"http_post_batch_max_bytes": 0}, "event_exporter_http_post_batch_max_bytes"),
        ({"http_post_batch_format": "xml"}, "event_exporter_http_post_batch_format"),
        ({"http_post_batch_format": "array", "format": "tab-text"}, "event_exporter_http_post_batch_format"),
        ({"http_post_compression": "lz4"}, "event_exporter_http_post_compression"),
        ({"http_post_content_type": "a\r\nX: y"}, "event_exporter_http_post_content_type"),
        ({"http_post_content_type": "text/plä"}, "event_exporter_http_post_content_type"),
        ({"http_post_retry_budget_msec": 1000}, "event_exporter_http_post_retry_budget"),
        ({"http_post_success_statuses": ""}, "event_exporter_http_post_success_statuses"),
        ({"http_post_retry_statuses": "5xx"}, "event_exporter_http_post_retry_statuses"),
        (
            {"http_post_retry_statuses": "409", "http_post_reject_statuses": "409"},
            "event_exporter_http_post_reject_statuses",
        ),
        ({"http_post_idempotency_header": "Idempotency Key"}, "event_exporter_http_post_idempotency_header"),
        ({"http_post_idempotency_header": "content-length"}, "event_exporter_http_post_idempotency_header"),
        ({"http_post_max_in_flight_events": 0}, "event_exporter_http_post_max_in_flight_events"),
        (
            {"http_post_max_in_flight_events": 9, "http_post_batch_max_events": 10},
            "event_exporter_http_post_max_in_flight_events",
        ),
        ({"http_post_max_in_flight_bytes": 1000}, "event_exporter_http_post_max_in_flight_bytes"),
        ({"http_client_user_agent": "a\r\nX: y"}, "http_client_user_agent"),
        ({"http_client_proxy_password": f"{SECRET}\n"}, "http_client_proxy_password"),
        (
            {"http_post_url": "https://h/", "http_client_proxy_url": _URL, "http_client_proxy_ssl_tunnel": False},
            "http_client_proxy_ssl_tunnel",
        ),
    ],
)
def test_wrong_settings_are_found_at_launch(changes: dict[str, Any], setting: str) -> None:
    """Each error names Dovecot's setting, and no secret."""
    with pytest.raises(DriverSettingError) as caught:
        HttpPostDriver(**{"http_post_url": _URL, **changes})
    assert caught.value.setting == setting
    assert SECRET not in str(caught.value)


def test_unknown_format() -> None:
    """The format decides the content type, so it must be known."""
    with pytest.raises(UnknownNameError, match="unknown format 'xml'"):
        HttpPostDriver(_URL, format="xml")


@pytest.mark.parametrize(
    "attribute", ["ssl_client_ca_file", "ssl_client_ca_dir", "ssl_client_cert_file", "ssl_client_key_file"]
)
def test_missing_tls_file_fails_before_anything_is_sent(tmp_path: Path, attribute: str) -> None:
    """A file that this worker cannot read is an infrastructure error that names setting and path."""
    path = tmp_path / "missing"
    with pytest.raises(DeliveryError, match=f"{attribute}.*{path}.* on this worker"):
        HttpPostDriver("https://127.0.0.1:9/", **{attribute: str(path)}).open()  # type: ignore[arg-type]
