"""The settings of the `http-post` driver: fields, defaults, what follows from them, and what can be wrong with them.

Rules from Dovecot's section "Export drivers", "http-post", and "HTTP and TLS settings". All other modules of the driver
import this one, which loads no libcurl.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.drivers.http.auth_settings import AuthSettings
from dovebeam.transforms.drivers.http.bodies import BATCH_FORMATS, COMPRESSIONS, CONTENT_TYPES, BodyMaker
from dovebeam.transforms.drivers.http.header_names import header_name_problem
from dovebeam.transforms.drivers.http.secret_url import SecretUrl
from dovebeam.transforms.drivers.http.statuses import DEFAULT_RETRY, DEFAULT_SUCCESS, StatusRules
from dovebeam.transforms.drivers.http.url import HttpUrl
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError

__all__ = ["TLS_VERSIONS", "HttpPostSettings"]

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


@dataclass(frozen=True, slots=True)
class HttpPostSettings(AuthSettings):
    """The settings of an `http-post` exporter.

    Times are in milliseconds; None and, where Dovecot says so, 0 mean no limit of their own.

    Attributes:
        http_post_url: the target, or a reference to it; `user:password@` in it becomes Basic authentication.
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
        http_client_proxy_ssl_tunnel: CONNECT through the proxy for https; libcurl knows no other way.
        http_client_user_agent: User-Agent header; empty: none.
        http_client_auto_redirect: False refuses redirects.
        http_client_auto_retry: False is the same as one attempt.
        http_client_max_auto_retry_delay_msec: longest Retry-After to obey; 0: as long as the request timeout.
        http_client_dns_ttl_msec: how long addresses are kept.
        http_client_connect_backoff_time_msec: the pause before the second attempt is random up to this, and up to
            twice as much before each further one.
        http_client_connect_backoff_max_time_msec: no pause is longer.
        http_client_soft_connect_timeout_msec: when the host's next address is tried as well; 0: after 200 ms.
        http_client_socket_send_buffer_size: bytes; 0: the system's.
        http_client_socket_recv_buffer_size: bytes; 0: the system's.
        ssl_client_ca_file: trusted CA certificates; without file and directory the system's.
        ssl_client_ca_dir: directory of trusted CA certificates, prepared by `openssl rehash`.
        ssl_client_cert_file: client certificate in PEM, with its chain.
        ssl_client_key_file: its key.
        ssl_client_require_valid_cert: whether chain and host name of the server are verified.
        ssl_min_protocol: oldest TLS version, one of `TLS_VERSIONS`.
        ssl_cipher_list: ciphers up to TLS 1.2; empty: the library's.
        ssl_cipher_suites: ciphers of TLS 1.3; empty: the library's.
        ssl_curve_list: elliptic curves; empty: the library's.
        http_post_batch_max_events: most payloads of a request; 1, as Dovecot sends them, or more.
        http_post_batch_max_bytes: most bytes of a request's body before compression; a longer payload is sent alone.
        http_post_batch_max_time_msec: how long a payload waits for others while a bundle goes on.
        http_post_batch_format: `lines`, each with its end, or `array`, of JSON; a request of 1 is only framed as array.
        http_post_content_type: instead of the one that goes with format and framing.
        http_post_compression: of bodies: none, gzip or zstd.
        http_post_retry_budget_msec: time from the begin of a request's first attempt until that of its last; 0: none.
        http_post_success_statuses: statuses that deliver.
        http_post_retry_statuses: statuses after which a request is sent again.
        http_post_reject_statuses: statuses that reject a request as a whole, without a search for the culprit.
        http_post_idempotency_header: header for a key that is the same whenever the same payloads are sent together.
        http_post_rate_limit: most requests a second of a worker process to the endpoint; 0: no limit.
        http_post_adaptive_concurrency: whether refusals (429, 503) and time-outs reduce the requests on their way.
        http_post_max_in_flight_events: most payloads that a worker holds for this driver.
        http_post_max_in_flight_bytes: most bytes of them.
    """

    http_post_url: str | SecretUrl = field(repr=False)
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
    http_client_proxy_ssl_tunnel: bool = True
    http_client_user_agent: str = ""
    http_client_auto_redirect: bool = True
    http_client_auto_retry: bool = True
    http_client_max_auto_retry_delay_msec: int | None = 0
    http_client_dns_ttl_msec: int | None = 1_800_000
    http_client_connect_backoff_time_msec: int | None = 100
    http_client_connect_backoff_max_time_msec: int | None = 60_000
    http_client_soft_connect_timeout_msec: int | None = 0
    http_client_socket_send_buffer_size: int | None = 0
    http_client_socket_recv_buffer_size: int | None = 0
    ssl_client_ca_file: str = ""
    ssl_client_ca_dir: str = ""
    ssl_client_cert_file: str = ""
    ssl_client_key_file: str = ""
    ssl_client_require_valid_cert: bool = True
    ssl_min_protocol: str = "TLSv1.2"
    ssl_cipher_list: str = ""
    ssl_cipher_suites: str = ""
    ssl_curve_list: str = ""
    http_post_batch_max_events: int = 1
    http_post_batch_max_bytes: int | None = 1 << 20
    http_post_batch_max_time_msec: int | None = 1000
    http_post_batch_format: str = "lines"
    http_post_content_type: str = ""
    http_post_compression: str = "none"
    http_post_retry_budget_msec: int | None = 0
    http_post_success_statuses: str = DEFAULT_SUCCESS
    http_post_retry_statuses: str = DEFAULT_RETRY
    http_post_reject_statuses: str = ""
    http_post_idempotency_header: str = ""
    http_post_rate_limit: int = 0
    http_post_adaptive_concurrency: bool = True
    http_post_max_in_flight_events: int = 10_000
    http_post_max_in_flight_bytes: int | None = 16 << 20

    def __post_init__(self) -> None:
        self.seal()
        _check(self)

    @property
    def body_maker(self) -> BodyMaker:
        """What makes the bodies of requests."""
        return BodyMaker(
            self.format,
            batched=self.http_post_batch_max_events > 1,
            batch_format=self.http_post_batch_format,
            compression=self.http_post_compression,
            content_type=self.http_post_content_type,
        )

    @property
    def status_rules(self) -> StatusRules:
        """What statuses mean."""
        return StatusRules.parse(
            self.http_post_success_statuses, self.http_post_retry_statuses, self.http_post_reject_statuses
        )

    @property
    def target(self) -> SecretUrl:
        """The target, with its secrets sealed."""
        return SecretUrl.parse("event_exporter_http_post_url", self.http_post_url, by_reference=True)

    @property
    def may_use_tls(self) -> bool:
        """Whether requests may go by TLS: to the target, or because a redirect leads there."""
        visible = self.target.visible
        return visible is None or visible.scheme == "https" or self.max_redirects > 0

    @property
    def proxy(self) -> HttpUrl | None:
        """The proxy without its credentials, None for none."""
        proxy = self.secret_url("http_client_proxy_url")
        return proxy.visible if proxy is not None else None

    @property
    def endpoint(self) -> str:
        """scheme://host:port, or the reference to the URL."""
        return self.target.endpoint

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


def _check(settings: HttpPostSettings) -> None:
    """Whether anything could ever be delivered with these settings.

    Raises:
        UnknownNameError: there is no such format.
        DriverSettingError: the first setting that cannot work.
    """
    if settings.format not in CONTENT_TYPES:
        raise UnknownNameError("format", settings.format, CONTENT_TYPES)
    for attribute in _NOT_ZERO:
        if getattr(settings, attribute) == 0:
            raise _wrong(attribute, "it must not be 0; set it to 1 or more")
    for attribute, words in _WORDS:
        if getattr(settings, attribute) not in words:
            raise _wrong(attribute, f"write one of: {', '.join(words)}")
    for attribute in _PRINTABLE:
        if not getattr(settings, attribute).isprintable():
            raise _wrong(attribute, "it has a control character; remove it")
    _check_connections(settings)
    _check_bodies(settings)
    _check_retries(settings)


def _check_connections(settings: HttpPostSettings) -> None:
    if settings.http_client_max_parallel_connections > MAX_PARALLEL_CONNECTIONS:
        message = f"at most {MAX_PARALLEL_CONNECTIONS} connections; use more workers for more"
        raise _wrong("http_client_max_parallel_connections", message)
    target = settings.target.visible
    by_tls = target is None or target.scheme == "https"
    if settings.proxy is not None and by_tls and not settings.http_client_proxy_ssl_tunnel:
        message = "a proxy without CONNECT would read everything that https protects; write yes"
        raise _wrong("http_client_proxy_ssl_tunnel", message)


def _check_bodies(settings: HttpPostSettings) -> None:
    if settings.http_post_batch_format == "array" and settings.format != "json":
        message = f"an array can only be made of events in the format json, not {settings.format}; write lines"
        raise _wrong("http_post_batch_format", message)
    if not settings.http_post_content_type.isascii():
        raise _wrong("http_post_content_type", "write it in ASCII, for example application/json")
    if settings.http_post_max_in_flight_events < settings.http_post_batch_max_events:
        message = "not even one batch could be on its way; raise it to http_post_batch_max_events or more"
        raise _wrong("http_post_max_in_flight_events", message)
    in_flight, batch = settings.http_post_max_in_flight_bytes, settings.http_post_batch_max_bytes
    if in_flight is not None and (batch is None or in_flight < batch):
        message = "not even one batch could be on its way; raise it to http_post_batch_max_bytes or more"
        raise _wrong("http_post_max_in_flight_bytes", message)


def _check_retries(settings: HttpPostSettings) -> None:
    _ = settings.status_rules
    header = settings.http_post_idempotency_header
    problem = header_name_problem(header, for_key=True) if header else ""
    if problem:
        raise _wrong("http_post_idempotency_header", f"header {header[:40]!r}: {problem}")
    if settings.http_post_retry_budget_msec and settings.max_attempts == 1:
        message = "with one attempt there are no retries to limit; raise http_client_request_max_attempts"
        raise _wrong("http_post_retry_budget", message)


def _wrong(attribute: str, message: str) -> DriverSettingError:
    """The error about a field, by the full name of its setting."""
    name = attribute.removesuffix("_msec")
    return DriverSettingError(f"event_exporter_{name}" if name.startswith("http_post_") else name, message)
