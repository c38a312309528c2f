"""What can be wrong with the settings of `http-post` before anything is sent, at launch and on the worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dovebeam.transforms.drivers.http.bodies import BATCH_FORMATS, COMPRESSIONS, CONTENT_TYPES
from dovebeam.transforms.drivers.http.header_names import header_name_problem
from dovebeam.transforms.errors import DeliveryError, DriverSettingError, UnknownNameError

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http_post import HttpPostDriver

__all__ = ["MAX_PARALLEL_CONNECTIONS", "TLS_VERSIONS", "check_files", "check_settings"]

TLS_VERSIONS: Final = ("ANY", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "LATEST")
"""What `ssl_min_protocol` can be."""

MAX_PARALLEL_CONNECTIONS: Final = 500
"""More would not be faster, and select(2) ends at descriptor 1023."""

_NOT_ZERO: Final = (
    "http_client_request_timeout_msec",
    "http_client_request_max_attempts",
    "http_client_max_parallel_connections",
    "http_client_connect_backoff_time_msec",
    "http_post_batch_max_events",
    "http_post_batch_max_bytes",
    "http_post_max_in_flight_events",
    "http_post_max_in_flight_bytes",
)
_WORDS: Final = (
    ("ssl_min_protocol", TLS_VERSIONS),
    ("http_post_batch_format", BATCH_FORMATS),
    ("http_post_compression", COMPRESSIONS),
)
_PRINTABLE: Final = ("http_client_user_agent", "http_post_content_type")


def check_settings(driver: HttpPostDriver) -> None:
    """Whether anything could ever be delivered with these settings.

    Raises:
        UnknownNameError: there is no such format.
        DriverSettingError: the first setting that cannot work.
    """
    if driver.format not in CONTENT_TYPES:
        raise UnknownNameError("format", driver.format, CONTENT_TYPES)
    for attribute in _NOT_ZERO:
        if getattr(driver, attribute) == 0:
            raise _wrong(attribute, "it must not be 0; set it to 1 or more")
    for attribute, words in _WORDS:
        if getattr(driver, attribute) not in words:
            raise _wrong(attribute, f"write one of: {', '.join(words)}")
    for attribute in _PRINTABLE:
        if not getattr(driver, attribute).isprintable():
            raise _wrong(attribute, "it has a control character; remove it")
    _check_connections(driver)
    _check_bodies(driver)
    _check_retries(driver)


def _check_connections(driver: HttpPostDriver) -> None:
    if driver.http_client_max_parallel_connections > MAX_PARALLEL_CONNECTIONS:
        message = f"at most {MAX_PARALLEL_CONNECTIONS} connections; use more workers for more"
        raise _wrong("http_client_max_parallel_connections", message)
    target = driver.target.visible
    by_tls = target is None or target.scheme == "https"
    if driver.proxy is not None and by_tls and not driver.http_client_proxy_ssl_tunnel:
        message = "a proxy without CONNECT would read everything that https protects; write yes"
        raise _wrong("http_client_proxy_ssl_tunnel", message)


def _check_bodies(driver: HttpPostDriver) -> None:
    if driver.http_post_batch_format == "array" and driver.format != "json":
        message = f"an array can only be made of events in the format json, not {driver.format}; write lines"
        raise _wrong("http_post_batch_format", message)
    if not driver.http_post_content_type.isascii():
        raise _wrong("http_post_content_type", "write it in ASCII, for example application/json")
    if driver.http_post_max_in_flight_events < driver.http_post_batch_max_events:
        message = "not even one batch could be on its way; raise it to http_post_batch_max_events or more"
        raise _wrong("http_post_max_in_flight_events", message)
    in_flight, batch = driver.http_post_max_in_flight_bytes, driver.http_post_batch_max_bytes
    if in_flight is not None and (batch is None or in_flight < batch):
        message = "not even one batch could be on its way; raise it to http_post_batch_max_bytes or more"
        raise _wrong("http_post_max_in_flight_bytes", message)


def _check_retries(driver: HttpPostDriver) -> None:
    _ = driver.status_rules
    header = driver.http_post_idempotency_header
    problem = header_name_problem(header, for_key=True) if header else ""
    if problem:
        raise _wrong("http_post_idempotency_header", f"header {header[:40]!r}: {problem}")
    if driver.http_post_retry_budget_msec and driver.max_attempts == 1:
        message = "with one attempt there are no retries to limit; raise http_client_request_max_attempts"
        raise _wrong("http_post_retry_budget", message)


def _wrong(attribute: str, message: str) -> DriverSettingError:
    """The error about a field of the driver, by the full name of its setting."""
    name = attribute.removesuffix("_msec")
    return DriverSettingError(f"event_exporter_{name}" if name.startswith("http_post_") else name, message)


def check_files(driver: HttpPostDriver) -> None:
    """Whether this worker can read the files that TLS needs.

    Raises:
        DeliveryError: the text names setting and path.
    """
    for attribute in ("ssl_client_ca_file", "ssl_client_cert_file", "ssl_client_key_file"):
        path: str = getattr(driver, attribute)
        if path:
            _check_file(attribute, path, driver.endpoint)
    directory = driver.ssl_client_ca_dir
    if directory and not os.path.isdir(directory):
        message = f"ssl_client_ca_dir: {directory} is no directory on this worker (create or correct it)"
        raise DeliveryError(message, driver.endpoint)


def _check_file(attribute: str, path: str, endpoint: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        message = f"{attribute}: open({path}) failed: {error.strerror} on this worker (provide or correct it)"
        raise DeliveryError(message, endpoint) from error
