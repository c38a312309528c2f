"""The `http-post` driver: one POST request per event.

Rules from Dovecot's section "Export drivers", "http-post", and "HTTP and TLS settings". This module holds the settings
and what can be wrong with them; `http.transfers` does the work, and only it loads libcurl.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from dovebeam.transforms.drivers.base import Driver, DriverName
from dovebeam.transforms.drivers.http.url import HttpUrl, parse_http_url
from dovebeam.transforms.errors import DeliveryError, DriverSettingError, UnknownNameError

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http.transfers import HttpPostConnection

__all__ = ["CONTENT_TYPES", "MAX_PARALLEL_CONNECTIONS", "TLS_VERSIONS", "HttpPostDriver"]

CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"json": "application/json", "tab-text": "text/plain", "none": "application/octet-stream"}
)
"""Dovecot's content type for each format."""

TLS_VERSIONS: Final = ("ANY", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "LATEST")
"""What `ssl_min_protocol` can be."""

MAX_PARALLEL_CONNECTIONS: Final = 500
"""More would not be faster, and select(2) ends at descriptor 1023."""

_NOT_ZERO: Final = (
    "http_client_request_timeout_msec",
    "http_client_request_max_attempts",
    "http_client_max_parallel_connections",
    "http_client_connect_backoff_time_msec",
)


@dataclass(frozen=True, slots=True)
class HttpPostDriver(Driver):
    """Posts each payload as the body of a request of its own; a status from 200 to 299 is success.

    Times are in milliseconds; None and, where Dovecot says so, 0 mean no limit of their own.

    Attributes:
        http_post_url: the target; `user:password@` in it becomes Basic authentication.
        format: the exporter's format; it decides the Content-Type.
        http_client_request_absolute_timeout_msec: limit of one attempt from its start; Dovecot documents 250 ms.
        http_client_request_timeout_msec: limit of one attempt if there is no shorter absolute one.
        http_client_write_request_timeout_msec: if not 0, replaces the previous one.
        http_client_connect_timeout_msec: limit of TCP and TLS set-up within an attempt; 0: none of its own.
        http_client_request_max_attempts: 1 is no retry.
        http_client_write_request_max_attempts: if not 0, replaces the previous one.
        http_client_request_max_redirects: 0 refuses redirects; none leads to another host.
        http_client_max_parallel_connections: connections, each with one request on its way.
        http_client_max_idle_time_msec: when an idle connection is closed; 0: when the server closes it, 118 s at most.
        http_client_proxy_url: HTTP proxy; the environment's proxies are never used.
        http_client_proxy_username: user name for the proxy.
        http_client_proxy_password: password for the proxy.
        http_client_proxy_ssl_tunnel: CONNECT through the proxy for https; libcurl knows no other way.
        http_client_user_agent: User-Agent header; empty: none.
        http_client_auto_redirect: False refuses redirects.
        http_client_auto_retry: False is the same as one attempt.
        http_client_max_auto_retry_delay_msec: longest Retry-After to obey; 0: as long as the request timeout.
        http_client_dns_ttl_msec: how long addresses are kept.
        http_client_connect_backoff_time_msec: the pause before the second attempt is random up to this, and up to
            twice as much before each further one.
        http_client_connect_backoff_max_time_msec: no pause is longer.
        ssl_client_ca_file: trusted CA certificates; without file and directory the system's.
        ssl_client_ca_dir: directory of trusted CA certificates, prepared by `openssl rehash`.
        ssl_client_cert_file: client certificate in PEM, with its chain.
        ssl_client_key_file: its key.
        ssl_client_key_password: password of that key.
        ssl_client_require_valid_cert: whether chain and host name of the server are verified.
        ssl_min_protocol: oldest TLS version, one of `TLS_VERSIONS`.
        ssl_cipher_list: ciphers up to TLS 1.2; empty: the library's.
        ssl_cipher_suites: ciphers of TLS 1.3; empty: the library's.
        ssl_curve_list: elliptic curves; empty: the library's.

    Parallelism: any number of connections on any number of workers; each has `http_client_max_parallel_connections` of
    its own to the target. With 1, the default, payloads arrive in order, and retries hold back what follows; with more
    there is no order.

    Delivery: at least once. A payload counts as delivered when the target answered it with 2xx; whatever else comes of
    its last attempt is a `Failure` with status and number of attempts. An answer that was lost on the way makes a
    retry, or a replay of the rejects, send a payload twice. Files that TLS needs and cannot use raise `DeliveryError`.
    """

    http_post_url: str = field(repr=False)
    format: str = "json"
    http_client_request_absolute_timeout_msec: int | None = 250
    http_client_request_timeout_msec: int | None = 60_000
    http_client_write_request_timeout_msec: int | None = 0
    http_client_connect_timeout_msec: int | None = 0
    http_client_request_max_attempts: int = 1
    http_client_write_request_max_attempts: int = 0
    http_client_request_max_redirects: int = 0
    http_client_max_parallel_connections: int = 1
    http_client_max_idle_time_msec: int | None = 0
    http_client_proxy_url: str = field(default="", repr=False)
    http_client_proxy_username: str = field(default="", repr=False)
    http_client_proxy_password: str = field(default="", repr=False)
    http_client_proxy_ssl_tunnel: bool = True
    http_client_user_agent: str = ""
    http_client_auto_redirect: bool = True
    http_client_auto_retry: bool = True
    http_client_max_auto_retry_delay_msec: int | None = 0
    http_client_dns_ttl_msec: int | None = 1_800_000
    http_client_connect_backoff_time_msec: int | None = 100
    http_client_connect_backoff_max_time_msec: int | None = 60_000
    ssl_client_ca_file: str = ""
    ssl_client_ca_dir: str = ""
    ssl_client_cert_file: str = ""
    ssl_client_key_file: str = ""
    ssl_client_key_password: str = field(default="", repr=False)
    ssl_client_require_valid_cert: bool = True
    ssl_min_protocol: str = "TLSv1.2"
    ssl_cipher_list: str = ""
    ssl_cipher_suites: str = ""
    ssl_curve_list: str = ""

    name: ClassVar[DriverName] = "http-post"

    def __post_init__(self) -> None:
        url = self.url
        if self.format not in CONTENT_TYPES:
            raise UnknownNameError("format", self.format, CONTENT_TYPES)
        for attribute in _NOT_ZERO:
            if getattr(self, attribute) == 0:
                raise DriverSettingError(attribute.removesuffix("_msec"), "it must not be 0; set it to 1 or more")
        if self.http_client_max_parallel_connections > MAX_PARALLEL_CONNECTIONS:
            message = f"at most {MAX_PARALLEL_CONNECTIONS} connections; use more workers for more"
            raise DriverSettingError("http_client_max_parallel_connections", message)
        if self.ssl_min_protocol not in TLS_VERSIONS:
            raise DriverSettingError("ssl_min_protocol", f"write one of: {', '.join(TLS_VERSIONS)}")
        if self.proxy is not None and url.scheme == "https" and not self.http_client_proxy_ssl_tunnel:
            message = "a proxy without CONNECT would read everything that https protects; write yes"
            raise DriverSettingError("http_client_proxy_ssl_tunnel", message)
        for attribute in ("http_client_user_agent", "http_client_proxy_username", "http_client_proxy_password"):
            if not getattr(self, attribute).isprintable():
                raise DriverSettingError(attribute, "it has a control character; remove it")

    @property
    def url(self) -> HttpUrl:
        """The parsed target."""
        return parse_http_url("event_exporter_http_post_url", self.http_post_url)

    @property
    def proxy(self) -> HttpUrl | None:
        """The parsed proxy, None for none."""
        return (
            parse_http_url("http_client_proxy_url", self.http_client_proxy_url) if self.http_client_proxy_url else None
        )

    @property
    def endpoint(self) -> str:
        """scheme://host:port."""
        return self.url.endpoint

    @property
    def attempt_timeout_msec(self) -> int:
        """When an attempt is ended, whatever the target does; 0 for never, which takes `infinite` in both settings."""
        limits = (
            self.http_client_request_absolute_timeout_msec,
            self.http_client_write_request_timeout_msec or self.http_client_request_timeout_msec,
        )
        return min((limit for limit in limits if limit), default=0)

    @property
    def max_attempts(self) -> int:
        """How often a payload is tried."""
        if not self.http_client_auto_retry:
            return 1
        return self.http_client_write_request_max_attempts or self.http_client_request_max_attempts

    @property
    def max_redirects(self) -> int:
        """How many redirects one attempt follows."""
        return self.http_client_request_max_redirects if self.http_client_auto_redirect else 0

    @property
    def max_retry_after_secs(self) -> float:
        """Longest Retry-After that is waited for."""
        limit = self.http_client_max_auto_retry_delay_msec
        if limit == 0:
            limit = self.http_client_write_request_timeout_msec or self.http_client_request_timeout_msec
        return float("inf") if limit is None else limit / 1000

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may repeat, longest first."""
        url, proxy = self.url, self.proxy
        texts = {self.ssl_client_key_password, self.http_client_proxy_password, self.http_client_proxy_username}
        for known in (url, proxy):
            if known is not None:
                user = (known.credentials or b"").decode("utf-8", "replace")
                texts.update((known.target, known.basic_authorization, user, user.partition(":")[2]))
        return tuple(sorted((text for text in texts if len(text) > 1), key=len, reverse=True))

    def open(self) -> HttpPostConnection:
        """Prepares libcurl; the first batch connects.

        Raises:
            DeliveryError: a file for TLS cannot be read.
        """
        for attribute in ("ssl_client_ca_file", "ssl_client_cert_file", "ssl_client_key_file"):
            self._check_file(attribute)
        if self.ssl_client_ca_dir and not os.path.isdir(self.ssl_client_ca_dir):
            message = (
                f"ssl_client_ca_dir: {self.ssl_client_ca_dir} is no directory on this worker (create or correct it)"
            )
            raise DeliveryError(message, self.endpoint)

        from dovebeam.transforms.drivers.http.transfers import HttpPostConnection  # noqa: PLC0415  loads libcurl

        return HttpPostConnection(self)

    def _check_file(self, attribute: str) -> None:
        path: str = getattr(self, attribute)
        if path:
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                message = f"{attribute}: open({path}) failed: {error.strerror} on this worker (provide or correct it)"
                raise DeliveryError(message, self.endpoint) from error
