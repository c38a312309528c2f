"""The settings of the `http-post` driver: fields, defaults, values derived from them, and their checks.

Rules from Dovecot's section "Export drivers", "http-post", and "HTTP and TLS settings". All other modules of the driver
import this one, which loads no libcurl.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers.http.auth import AuthSettings, header_name_problem
from dovebeam.transforms.drivers.http.outcome import DEFAULT_RETRY, DEFAULT_SUCCESS, StatusRules
from dovebeam.transforms.drivers.secrets.secret import Secret
from dovebeam.transforms.drivers.secrets.secret_url import HttpUrl, SecretUrl
from dovebeam.transforms.drivers.setting import Kind, check_values, setting, setting_name
from dovebeam.transforms.errors import DriverSettingError, UnknownNameError

__all__ = ["CONTENT_TYPES", "HttpPostSettings"]

MAX_PARALLEL_CONNECTIONS: Final = 500
"""Most connections of a worker thread. More would not be faster, and select(2) ends at descriptor 1023."""

CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"json": "application/json", "tab-text": "text/plain", "none": "application/octet-stream"}
)
"""Dovecot's content type for each format."""

_BATCH_FORMATS: Final = ("lines", "array")
_COMPRESSIONS: Final = ("none", "gzip", "zstd")

# These become headers, where a line break would start another header.
_PRINTABLE: Final = ("http_client_user_agent", "http_post_content_type")


@dataclass(frozen=True, slots=True)
class HttpPostSettings(AuthSettings):
    """The settings of an `http-post` exporter.

    Times are in milliseconds. None means no limit, and so does 0 where Dovecot defines it so. `format` is that of the
    exporter; it decides the Content-Type.
    """

    # Not a setting of the driver: the exporter's, which the configuration passes on.
    format: str = "json"
    http_client_request_absolute_timeout_msec: int | None = setting(
        Kind.TIME,
        "0",
        "time limit of one attempt, from its start. If it is not set, the limit is 250 ms, as Dovecot documents it for "
        "event export; an explicit 0 means no limit",
        dovecot=True,
        # Dovecot's code never applies the 250 ms that it documents for this driver (spec "http-post").
        unset=250,
    )
    http_client_request_timeout_msec: int | None = setting(
        Kind.TIME,
        "1 min",
        "time limit of one attempt, unless `http_client_request_absolute_timeout` is shorter",
        not_zero="http_client_request_timeout_msecs must not be 0",
        dovecot=True,
    )
    http_client_write_request_timeout_msec: int | None = setting(
        Kind.TIME,
        "0",
        "time limit of one attempt of a request that writes, such as POST; 0 for `http_client_request_timeout`",
        dovecot=True,
    )
    http_client_connect_timeout_msec: int | None = setting(
        Kind.TIME,
        "0",
        "time limit for setting up a connection, including TLS, within an attempt; 0 for no separate limit",
        dovecot=True,
    )
    http_client_request_max_attempts: int = setting(
        Kind.UINT,
        "1",
        "maximum number of attempts of a request; 1 means no retry",
        not_zero="request_max_attempts must not be 0",
        dovecot=True,
    )
    http_client_write_request_max_attempts: int = setting(
        Kind.UINT,
        "0",
        "maximum number of attempts of a request that writes, such as POST; 0 for `http_client_request_max_attempts`",
        dovecot=True,
    )
    http_client_request_max_redirects: int = setting(
        Kind.UINT,
        "0",
        "maximum number of redirects that a request follows; redirects to another host are always refused",
        dovecot=True,
    )
    http_client_max_parallel_connections: int = setting(
        Kind.UINT,
        "1",
        "maximum number of connections of each worker thread; with more than 1, events can arrive in any order",
        not_zero="http_client_max_parallel_connections must not be 0",
        dovecot=True,
    )
    http_client_max_idle_time_msec: int | None = setting(
        Kind.TIME,
        "0",
        "how long an idle connection is kept open; 0 keeps it until the server closes it, for 118 s at most",
        dovecot=True,
    )
    http_client_proxy_url: str | SecretUrl = setting(
        Kind.STRING,
        "",
        "URL of an HTTP proxy; proxies in environment variables are never used",
        dovecot=True,
        guarded=True,
        shown=False,
    )
    http_client_proxy_username: str | Secret = setting(
        Kind.STRING, "", "user name for the proxy", secret=True, dovecot=True
    )
    http_client_proxy_password: str | Secret = setting(
        Kind.STRING, "", "password for the proxy", secret=True, dovecot=True
    )
    http_client_proxy_ssl_tunnel: bool = setting(
        Kind.BOOL,
        "yes",
        "whether https requests use CONNECT to pass the proxy; `no` is refused for an https URL with a proxy",
        dovecot=True,
    )
    http_client_user_agent: str = setting(
        Kind.STRING, "", "value of the User-Agent header; empty sends no such header", dovecot=True
    )
    http_client_auto_redirect: bool = setting(
        Kind.BOOL, "yes", "whether redirects are followed, up to `http_client_request_max_redirects`", dovecot=True
    )
    http_client_auto_retry: bool = setting(
        Kind.BOOL, "yes", "whether failed requests are retried, up to the maximum number of attempts", dovecot=True
    )
    http_client_max_auto_retry_delay_msec: int | None = setting(
        Kind.TIME_SECS,
        "0",
        "maximum time that a request waits because of `Retry-After`; 0 for `http_client_request_timeout`",
        dovecot=True,
    )
    http_client_dns_ttl_msec: int | None = setting(
        Kind.TIME, "30 min", "how long the addresses of the host are cached", dovecot=True
    )
    http_client_connect_backoff_time_msec: int | None = setting(
        Kind.TIME,
        "100 ms",
        "maximum pause before the second attempt, doubled for each further attempt; the pause itself is random",
        not_zero="http_client_connect_backoff_time_msecs must not be 0",
        dovecot=True,
    )
    http_client_connect_backoff_max_time_msec: int | None = setting(
        Kind.TIME, "1 min", "upper limit of the pause between two attempts", dovecot=True
    )
    http_client_soft_connect_timeout_msec: int | None = setting(
        Kind.TIME, "0", "time after which the next address of the host is tried in parallel; 0 for 200 ms", dovecot=True
    )
    http_client_socket_send_buffer_size: int | None = setting(
        Kind.SIZE, "0", "size of a socket's send buffer; 0 for the system's default", dovecot=True
    )
    http_client_socket_recv_buffer_size: int | None = setting(
        Kind.SIZE, "0", "size of a socket's receive buffer; 0 for the system's default", dovecot=True
    )
    http_post_batch_max_events: int = setting(
        Kind.UINT, "1", "maximum number of events in a request; Dovecot always sends 1", not_zero=True
    )
    http_post_batch_max_bytes: int | None = setting(
        Kind.SIZE, "1M", "maximum size of a body before compression; a larger event is sent alone", not_zero=True
    )
    http_post_batch_max_time_msec: int | None = setting(
        Kind.TIME, "1s", "how long an event waits for others while more are read"
    )
    http_post_batch_format: str = setting(
        Kind.ENUM,
        "lines",
        "format of a body with several events: `lines` that each end in a newline, or one JSON `array`",
        _BATCH_FORMATS,
    )
    http_post_content_type: str = setting(
        Kind.STRING,
        "",
        "value of the Content-Type header; empty for the default, which depends on `format` and on "
        "`http_post_batch_format`",
    )
    http_post_compression: str = setting(Kind.ENUM, "none", "compression of request bodies", _COMPRESSIONS)
    http_post_retry_budget_msec: int | None = setting(
        Kind.TIME,
        "0",
        "maximum time from the start of a request's first attempt to the start of its last; 0 for no limit",
    )
    http_post_success_statuses: str = setting(
        Kind.STRING, DEFAULT_SUCCESS, "statuses that mean delivered, as numbers and ranges"
    )
    http_post_retry_statuses: str = setting(Kind.STRING, DEFAULT_RETRY, "statuses after which a request is retried")
    http_post_reject_statuses: str = setting(
        Kind.STRING, "", "statuses that reject all events of a request, without a search for the refused ones"
    )
    http_post_idempotency_header: str = setting(
        Kind.STRING,
        "",
        "header for a key that stays the same over retries and replays, such as `Idempotency-Key`",
    )
    http_post_rate_limit: int = setting(
        Kind.UINT, "0", "maximum number of requests a second from one worker process to one endpoint; 0 for no limit"
    )
    http_post_adaptive_concurrency: bool = setting(
        Kind.BOOL,
        "yes",
        "send fewer parallel requests after refusals (429, 503) and time-outs, and more again after successes",
    )
    http_post_max_in_flight_events: int = setting(
        Kind.UINT, "10000", "maximum number of events that a worker holds for the target", not_zero=True
    )
    http_post_max_in_flight_bytes: int | None = setting(
        Kind.SIZE, "16M", "maximum size of the events that a worker holds for the target", not_zero=True
    )

    def __post_init__(self) -> None:
        # First the secrets: the checks read them, and no error may repeat one.
        self.seal()
        _check(self)

    @property
    def status_rules(self) -> StatusRules:
        """The rules for statuses."""
        return StatusRules.parse(
            self.http_post_success_statuses, self.http_post_retry_statuses, self.http_post_reject_statuses
        )

    @property
    def target(self) -> SecretUrl:
        """The target; credentials in it are secrets."""
        return SecretUrl.parse("event_exporter_http_post_url", self.http_post_url, by_reference=True)

    @property
    def may_use_tls(self) -> bool:
        """Whether requests may go by TLS, to the target or because a redirect leads there."""
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
        """Time limit of an attempt; 0 for none, which takes `infinite` in both settings."""
        # libcurl has one limit for a transfer, where Dovecot restarts the second one at each sign of activity.
        limits = (
            self.http_client_request_absolute_timeout_msec,
            self.http_client_write_request_timeout_msec or self.http_client_request_timeout_msec,
        )
        return min((limit for limit in limits if limit), default=0)

    @property
    def max_attempts(self) -> int:
        """Number of attempts of a payload."""
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
        # 0 is the timeout of a request, as in Dovecot.
        if limit == 0:
            limit = self.http_client_write_request_timeout_msec or self.http_client_request_timeout_msec
        return float("inf") if limit is None else limit / 1000


def _check(settings: HttpPostSettings) -> None:
    """Checks that something could be delivered with these settings.

    Raises:
        UnknownNameError: the format is unknown.
        DriverSettingError: the first setting that cannot work.
    """
    if settings.format not in CONTENT_TYPES:
        raise UnknownNameError("format", settings.format, CONTENT_TYPES)
    check_values(settings)
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
    # A URL by reference may be https; so it counts as that.
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
    # A full request must fit below what a worker may hold, or it would never be full.
    if settings.http_post_max_in_flight_events < settings.http_post_batch_max_events:
        message = "not even one batch could be sent; raise it to http_post_batch_max_events or more"
        raise _wrong("http_post_max_in_flight_events", message)
    in_flight, batch = settings.http_post_max_in_flight_bytes, settings.http_post_batch_max_bytes
    if in_flight is not None and (batch is None or in_flight < batch):
        message = "not even one batch could be sent; raise it to http_post_batch_max_bytes or more"
        raise _wrong("http_post_max_in_flight_bytes", message)


def _check_retries(settings: HttpPostSettings) -> None:
    # Parsing them is the check.
    _ = settings.status_rules
    header = settings.http_post_idempotency_header
    problem = header_name_problem(header, for_key=True) if header else ""
    if problem:
        raise _wrong("http_post_idempotency_header", f"header {header[:40]!r}: {problem}")
    if settings.http_post_retry_budget_msec and settings.max_attempts == 1:
        message = "with one attempt there are no retries to limit; raise http_client_request_max_attempts"
        raise _wrong("http_post_retry_budget", message)


def _wrong(field: str, message: str) -> DriverSettingError:
    return DriverSettingError(setting_name(field), message)
