"""The `http-post` driver: POST requests, one for each event or for batches of them.

Rules from Dovecot's section "Export drivers", "http-post", and "HTTP and TLS settings". This module holds the settings
and what follows from them; `http.checks` knows what can be wrong with them, and `http.connection`, which loads libcurl,
does the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dovebeam.transforms.drivers.base import DriverName
from dovebeam.transforms.drivers.http.auth_settings import AuthSettings
from dovebeam.transforms.drivers.http.bodies import BodyMaker
from dovebeam.transforms.drivers.http.checks import check_files, check_settings
from dovebeam.transforms.drivers.http.secret_url import SecretUrl
from dovebeam.transforms.drivers.http.statuses import DEFAULT_RETRY, DEFAULT_SUCCESS, StatusRules
from dovebeam.transforms.drivers.http.url import HttpUrl

if TYPE_CHECKING:
    from dovebeam.transforms.drivers.http.connection import HttpPostConnection

__all__ = ["HttpPostDriver"]

_PLAIN_BATCH_EVENTS = 500
_PLAIN_BATCH_BYTES = 1 << 20
_ROUNDS = 8
"""How many requests each connection gets of one batch, so that the last ones, when some are idle, weigh little."""


@dataclass(frozen=True, slots=True)
class HttpPostDriver(AuthSettings):
    """Posts payloads; by default each is the body of a request of its own, and a status from 200 to 299 is success.

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

    Parallelism: any number of connections on any number of workers; each has `http_client_max_parallel_connections` of
    its own to the target. With 1, the default, payloads arrive in order, and retries hold back what follows; with more
    there is no order. The connections of a worker process heed together what an endpoint asks for: `Retry-After`,
    pauses before retries, fewer requests at a time. One that shows no sign of life is asked by one request at a time,
    whose failure counts as an attempt of all that waits in the batch: with one attempt, all of it fails then.

    Delivery: at least once. A payload counts as delivered when the target answered its request with success; whatever
    else comes of the last attempt is a `Failure` with status and number of attempts. A request that is too large (413)
    or that the target refuses for something in it (400, 422) is sent again as halves, until only the culprit is left.
    An answer that was lost on the way makes a retry, or a replay of the rejects, send a payload twice, with the same
    idempotency key. Files that TLS needs and cannot use raise `DeliveryError`.
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

    name: ClassVar[DriverName] = "http-post"

    def __post_init__(self) -> None:
        self.seal()
        check_settings(self)

    @property
    def max_batch_events(self) -> int:
        """Enough for full batches on all connections, as far as so many may be held."""
        wanted = self.http_post_batch_max_events * self.http_client_max_parallel_connections * _ROUNDS
        return min(self.http_post_max_in_flight_events, max(_PLAIN_BATCH_EVENTS, wanted))

    @property
    def max_batch_bytes(self) -> int:
        """The same in bytes."""
        most = self.http_post_max_in_flight_bytes
        wanted = (self.http_post_batch_max_bytes or _PLAIN_BATCH_BYTES) * self.http_client_max_parallel_connections * 2
        wanted = max(_PLAIN_BATCH_BYTES, wanted)
        return wanted if most is None else min(most, wanted)

    @property
    def max_batch_msec(self) -> int | None:
        """How long a payload waits for others."""
        return self.http_post_batch_max_time_msec

    @property
    def wants_keys(self) -> bool:
        """Whether requests have an idempotency key."""
        return bool(self.http_post_idempotency_header)

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

    def open(self) -> HttpPostConnection:
        """Prepares libcurl; the first batch connects.

        Raises:
            DeliveryError: a file for TLS cannot be read, or a secret cannot be had.
        """
        check_files(self)

        from dovebeam.transforms.drivers.http.access import Access  # noqa: PLC0415
        from dovebeam.transforms.drivers.http.connection import HttpPostConnection  # noqa: PLC0415  loads libcurl

        return HttpPostConnection(self, Access(self))
