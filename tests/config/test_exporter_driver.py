"""From a configuration to drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.transforms.config import load_config, make_driver
from dovebeam.transforms.drivers import Driver, DropDriver, FileDriver, HttpPostDriver, LogDriver, UnixDriver
from dovebeam.transforms.errors import DriverSettingError

_HEAD = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
_EXTENSIONS = {"event_exporter_unix_write_timeout"}


def _driver(tmp_path: Path, *lines: str, overlay: str = "") -> Driver:
    """The driver of the one exporter with these settings; `overlay` holds dovebeam's own."""
    (tmp_path / "dovecot.conf").write_text("\n".join([_HEAD, "event_exporter ex {", *lines, "}\n"]))
    (tmp_path / "overlay.conf").write_text(f"event_exporter ex {{\n{overlay}\n}}\n")
    config = load_config([tmp_path / "dovecot.conf", tmp_path / "overlay.conf"])
    return make_driver(config.exporters["ex"])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["driver = drop"], DropDriver()),
        (["driver = log"], LogDriver()),
        ([], LogDriver()),
        (["driver = file", "file_path = /x/y"], FileDriver("/x/y")),
        (["driver = unix", "unix_path = /s"], UnixDriver("/s")),
        (["driver = unix", "unix_path = /s", "unix_connect_timeout = 2 s"], UnixDriver("/s", 2000)),
        (["driver = http-post", "http_post_url = http://h/p"], HttpPostDriver("http://h/p")),
    ],
)
def test_drivers(tmp_path: Path, lines: list[str], expected: Driver) -> None:
    """Each driver with its settings, and with Dovecot's defaults without them."""
    assert _driver(tmp_path, "format = json", *lines) == expected


def test_log_target_of_an_overlay(tmp_path: Path) -> None:
    """Extension settings come from an overlay file."""
    driver = _driver(tmp_path, "format = json", overlay="log_target = syslog:/dev/log\nlog_facility = local3")
    assert driver == LogDriver("syslog:/dev/log", "local3")


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("http_client_request_absolute_timeout = 3 s", "http_client_request_absolute_timeout_msec", 3000),
        ("", "attempt_timeout_msec", 250),
        ("http_client_request_absolute_timeout = 0", "attempt_timeout_msec", 60_000),
        ("http_client_request_absolute_timeout = infinite", "attempt_timeout_msec", 60_000),
        ("http_client_request_timeout = 2 s", "http_client_request_timeout_msec", 2000),
        ("http_client_request_max_attempts = 5", "max_attempts", 5),
        ("http_client_max_parallel_connections = 7", "http_client_max_parallel_connections", 7),
        ("http_client_auto_retry = no", "http_client_auto_retry", False),
        ("http_client_max_auto_retry_delay = 9 s", "max_retry_after_secs", 9.0),
        ("ssl_client_require_valid_cert = no", "ssl_client_require_valid_cert", False),
        ("ssl_min_protocol = TLSv1.3", "ssl_min_protocol", "TLSv1.3"),
        ("format = tab-text", "format", "tab-text"),
        ("format = none", "format", "none"),
    ],
)
def test_http_settings(tmp_path: Path, line: str, attribute: str, value: object) -> None:
    """Settings of the HTTP client reach the driver in their units."""
    driver = _driver(tmp_path, "format = json", "driver = http-post", "http_post_url = https://h/p", line)
    assert getattr(driver, attribute) == value


def test_http_extensions(tmp_path: Path) -> None:
    """What Dovecot does not have reaches the driver from an overlay, in the driver's units."""
    overlay = """
        http_post_batch_max_events = 500
        http_post_batch_max_bytes = 512 k
        http_post_batch_max_time = 2 s
        http_post_compression = gzip
        http_client_request_max_attempts = 4
        http_post_retry_budget = 5 min
        http_post_retry_statuses = 429 500-599
        http_post_reject_statuses = 408, 425
        http_post_max_in_flight_bytes = 64 M
        http_post_adaptive_concurrency = no
    """
    driver = _driver(tmp_path, "format = json", "driver = http-post", "http_post_url = http://h/p", overlay=overlay)
    assert isinstance(driver, HttpPostDriver)
    assert driver == HttpPostDriver(
        "http://h/p",
        http_post_batch_max_events=500,
        http_post_batch_max_bytes=512 << 10,
        http_post_batch_max_time_msec=2000,
        http_post_compression="gzip",
        http_client_request_max_attempts=4,
        http_post_retry_budget_msec=300_000,
        http_post_retry_statuses="429 500-599",
        http_post_reject_statuses="408, 425",
        http_post_max_in_flight_bytes=64 << 20,
        http_post_adaptive_concurrency=False,
    )


@pytest.mark.parametrize(
    ("lines", "setting"),
    [
        (["driver = unix"], "event_exporter_unix_path"),
        (["driver = file"], "event_exporter_file_path"),
        (
            ["driver = http-post", "http_post_url = http://h/", "http_client_proxy_socket_path = /s"],
            "http_client_proxy_socket_path",
        ),
        (["driver = http-post", "http_post_url = https://h/", "ssl_min_protocol = SSLv2"], "ssl_min_protocol"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, lines: list[str], setting: str) -> None:
    """The error names the exporter and the setting; the configuration's own checks may have been first."""
    with pytest.raises(Exception, match=setting.removeprefix("event_exporter_")) as caught:
        _driver(tmp_path, "format = json", *lines)
    if isinstance(caught.value, DriverSettingError):
        assert (caught.value.exporter, caught.value.setting) == ("ex", setting)
