"""The table of settings: every setting of event export, one row each, Dovecot's own and dovebeam's extensions.

Names, types, defaults and limits from Dovecot's configuration language, sections "Setting tables" and "HTTP and TLS
settings". To add a setting, add a row: reading, checking, inheritance, suggestions and `Exporter.settings` follow
from it. A row whose full name starts with `event_exporter_` has the rest of its name as the short one inside an
exporter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.config.types import Kind
from dovebeam.transforms.formats import FORMAT_NAMES, INCLUDE_PARTS, TIME_FORMATS

__all__ = [
    "BLOCKS",
    "DRIVER_NAMES",
    "METHOD_NAMES",
    "NAME_SETTINGS",
    "PLAIN_BLOCKS",
    "SETTINGS",
    "Setting",
    "settings_of",
]

DRIVER_NAMES: Final = ("log", "file", "unix", "http-post", "drop")
METHOD_NAMES: Final = ("discrete", "exponential", "linear")

BLOCKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "stats",
        "metric": "stats",
        "metric_group_by": "stats_metric",
        "metric_group_by_method": "stats_metric_group_by",
    }
)
"""Blocks with a name ("named list filters"), and the structure that Dovecot's messages say they belong to."""

PLAIN_BLOCKS: Final = frozenset({"event_exporter_http_post", "ssl_client"})
"""Blocks without a name ("named filters"): what completes with their name is stored in the enclosing block."""

NAME_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "event_exporter_name",
        "metric": "metric_name",
        "metric_group_by": "metric_group_by_field",
        "metric_group_by_method": "metric_group_by_method_method",
    }
)
"""The setting of each named block whose first value is the block's name."""

_FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: the full name, the same in every block.
        kind: the type of its values.
        default: the value if nothing sets it, as it would be written.
        text: what it is for, one line.
        choices: the words of an enum, or of a list that knows only some.
        block_only: honoured only in its own block, not as a default outside.
        not_zero: what Dovecot's check prints if the value is 0, or an empty string if 0 is fine.
        secret: the value must never be shown.
        expanded: whether `%{...}` in it is expanded at start.
        extension: dovebeam has it, Dovecot refuses it.
        check: says what is wrong with a value beyond its type; an empty string is fine.
    """

    name: str
    kind: Kind
    default: str
    text: str
    choices: tuple[str, ...] = ()
    block_only: bool = False
    not_zero: str = ""
    secret: bool = False
    expanded: bool = True
    extension: bool = False
    check: Callable[[str], str] | None = None


def _check_log_target(text: str) -> str:
    """A runner's log, a local syslog socket, or a syslog server."""
    if not text or re.fullmatch(
        r"syslog:/[^\0]*|syslog(\+tcp|\+tls)?:([^/:\s\[\]]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}", text
    ):
        return ""
    return (
        "write nothing for the runner's log, syslog:/dev/log for a socket, or for a server syslog:HOST:PORT (UDP), "
        "syslog+tcp:HOST:PORT or syslog+tls:HOST:PORT"
    )


_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_ROWS: Final = (
    # event_exporter NAME { }
    Setting("event_exporter_name", Kind.NAME, "", "name of the exporter; leave it to the block", block_only=True),
    Setting("event_exporter_driver", Kind.ENUM, "log", "how events are delivered", DRIVER_NAMES),
    Setting("event_exporter_format", _S, "", "how events are serialised", FORMAT_NAMES, block_only=True),
    Setting("event_exporter_time_format", Kind.ENUM, "rfc3339", "timestamps in the output", TIME_FORMATS),
    Setting("event_exporter_unix_path", _S, "", "driver unix: the socket"),
    Setting("event_exporter_file_path", _S, "", "driver file: the file"),
    Setting("event_exporter_unix_connect_timeout", _T, "250 ms", "driver unix: total time for connecting"),
    Setting("event_exporter_http_post_url", _S, "", "driver http-post: the http:// or https:// URL"),
    # dovebeam's extensions
    Setting(
        "event_exporter_file_writing", Kind.ENUM, "append",
        "driver file: append to files as Dovecot does, or write complete shards", ("append", "shards"), extension=True,
    ),
    Setting(
        "event_exporter_file_path_template", _S, "",
        "driver file: each event's file below the directory file_path, such as %Y/%m/%d/{user}.json",
        expanded=False, extension=True,
    ),
    Setting(
        "event_exporter_file_missing_field", Kind.ENUM, "reject",
        "driver file: what to do with an event without a field of the template", ("reject", "fallback"), extension=True,
    ),
    Setting(
        "event_exporter_file_field_fallback", _S, "unknown", "driver file: stands for a missing field", extension=True
    ),
    Setting("event_exporter_file_rotate_size", Kind.SIZE, "0", "driver file: when a file is full", extension=True),
    Setting(
        "event_exporter_file_rotate_interval", _T, "0", "driver file: a file for each such part of time", extension=True
    ),
    Setting(
        "event_exporter_file_compression", Kind.ENUM, "none", "driver file: how files are compressed",
        ("none", "gzip", "zstd"), extension=True,
    ),
    Setting("event_exporter_file_permissions", _S, "0600", "driver file: octal mode of new files", extension=True),
    Setting("event_exporter_file_max_open", _U, "100", "driver file: most files that are open", extension=True),
    Setting(
        "event_exporter_unix_write_timeout", _T, "60 s", "driver unix: how long a listener may read nothing",
        extension=True,
    ),
    Setting(
        "event_exporter_unix_retry_budget", _T, "0", "driver unix: how long to wait for a listener that is away",
        extension=True,
    ),
    Setting(
        "event_exporter_log_target", _S, "", "driver log: where the lines go", extension=True, check=_check_log_target
    ),
    Setting(
        "event_exporter_log_facility", Kind.ENUM, "mail", "driver log: syslog facility", _FACILITIES, extension=True
    ),
    Setting("event_exporter_log_rate_limit", _U, "0", "driver log: records a second of a worker", extension=True),
    Setting(
        "event_exporter_log_write_timeout", _T, "60 s", "driver log: how long a syslog may read nothing",
        extension=True,
    ),
    Setting(
        "event_exporter_log_retry_budget", _T, "10 s", "driver log: how long to wait for a syslog that is away",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_query", _S, "", "driver http-post: the URL's query", secret=True, extension=True
    ),
    Setting(
        "event_exporter_http_post_headers", Kind.TEXT_LIST, "", "driver http-post: further headers",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_auth", Kind.ENUM, "none", "driver http-post: how it says who it is",
        ("none", "basic", "bearer", "oauth2", "google-id-token"), extension=True,
    ),
    Setting(
        "event_exporter_http_post_auth_user", _S, "", "driver http-post: user name for basic",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_auth_password", _S, "", "driver http-post: password for basic",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_auth_token", _S, "", "driver http-post: token for bearer",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_token_url", _S, "", "driver http-post: where oauth2 gets tokens",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_client_id", _S, "", "driver http-post: the client of oauth2",
        secret=True, extension=True,
    ),
    Setting(
        "event_exporter_http_post_oauth2_client_secret", _S, "", "driver http-post: the client's secret",
        secret=True, extension=True,
    ),
    Setting("event_exporter_http_post_oauth2_scope", _S, "", "driver http-post: scope of oauth2", extension=True),
    Setting(
        "event_exporter_http_post_oauth2_audience", _S, "", "driver http-post: audience of oauth2", extension=True
    ),
    Setting(
        "event_exporter_http_post_google_audience", _S, "",
        "driver http-post: audience of google-id-token; empty: scheme and host of the target", extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_max_events", _U, "1", "driver http-post: most events of a request",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_max_bytes", Kind.SIZE, "1M",
        "driver http-post: most bytes of a body before compression", extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_max_time", _T, "1s",
        "driver http-post: how long an event waits for others while more are read", extension=True,
    ),
    Setting(
        "event_exporter_http_post_batch_format", Kind.ENUM, "lines",
        "driver http-post: how a body frames several events", ("lines", "array"), extension=True,
    ),
    Setting(
        "event_exporter_http_post_content_type", _S, "",
        "driver http-post: Content-Type; empty: the one of format and framing", extension=True,
    ),
    Setting(
        "event_exporter_http_post_compression", Kind.ENUM, "none", "driver http-post: how bodies are compressed",
        ("none", "gzip", "zstd"), extension=True,
    ),
    Setting(
        "event_exporter_http_post_retry_budget", _T, "0",
        "driver http-post: from a request's first attempt to its last; 0: attempts alone decide", extension=True,
    ),
    Setting(
        "event_exporter_http_post_success_statuses", _S, "200-299", "driver http-post: statuses that deliver",
        extension=True,
    ),
    Setting(
        "event_exporter_http_post_retry_statuses", _S, "408 425 429 500 502-599",
        "driver http-post: statuses after which a request is sent again", extension=True,
    ),
    Setting(
        "event_exporter_http_post_reject_statuses", _S, "",
        "driver http-post: statuses that reject all of a request, without a search for the culprit", extension=True,
    ),
    Setting(
        "event_exporter_http_post_idempotency_header", _S, "",
        "driver http-post: header for a key that stays the same over retries, such as Idempotency-Key", extension=True,
    ),
    Setting(
        "event_exporter_http_post_rate_limit", _U, "0",
        "driver http-post: most requests a second of a worker process; 0: no limit", extension=True,
    ),
    Setting(
        "event_exporter_http_post_adaptive_concurrency", Kind.BOOL, "yes",
        "driver http-post: fewer requests at a time after refusals and time-outs", extension=True,
    ),
    Setting(
        "event_exporter_http_post_max_in_flight_events", _U, "10000",
        "driver http-post: most events that a worker holds", extension=True,
    ),
    Setting(
        "event_exporter_http_post_max_in_flight_bytes", Kind.SIZE, "16M",
        "driver http-post: most bytes of events that a worker holds", extension=True,
    ),
    # metric NAME { }
    Setting("metric_name", Kind.NAME, "", "name of the metric in statistics", block_only=True),
    Setting("metric_filter", _S, "", "which events", block_only=True),
    Setting("metric_exporter", _S, "", "name of the event_exporter block; empty: not exported"),
    Setting(
        "metric_exporter_include", Kind.BOOL_LIST, " ".join(INCLUDE_PARTS), "which parts go out", INCLUDE_PARTS
    ),
    Setting("metric_fields", Kind.BOOL_LIST, "", "if not empty: statistics on these fields, and only these go out"),
    Setting("metric_description", _S, "", "help text of the statistics"),
    # group_by FIELD { } and method METHOD { }
    Setting("metric_group_by_field", Kind.NAME, "", "field to group by", block_only=True),
    Setting("metric_group_by_method_method", Kind.NAME, "", "how to group", METHOD_NAMES, block_only=True),
    Setting("metric_group_by_method_discrete_modifier", _S, "", "template for the value", expanded=False),
    Setting("metric_group_by_method_exponential_min_magnitude", _U, "0", "exponent of the first limit"),
    Setting("metric_group_by_method_exponential_max_magnitude", _U, "0", "exponent of the last limit"),
    Setting("metric_group_by_method_exponential_base", _U, "10", "2 or 10"),
    Setting("metric_group_by_method_linear_min", Kind.UINT64, "0", "first limit"),
    Setting("metric_group_by_method_linear_max", Kind.UINT64, "0", "last limit"),
    Setting("metric_group_by_method_linear_step", Kind.UINT64, "0", "distance of two limits"),
    # driver http-post: the HTTP client
    Setting("http_client_request_absolute_timeout", _T, "0", "from submitting an event until done, with retries"),
    Setting(
        "http_client_request_timeout", _T, "1 min", "one attempt",
        not_zero="http_client_request_timeout_msecs must not be 0",
    ),
    Setting("http_client_write_request_timeout", _T, "0", "one attempt of POST or PUT; 0: the general one"),
    Setting("http_client_read_request_timeout", _T, "0", "not used for POST"),
    Setting("http_client_delete_request_timeout", _T, "0", "not used for POST"),
    Setting("http_client_connect_timeout", _T, "0", "TCP and TLS set-up; 0: the request timeout"),
    Setting("http_client_request_max_attempts", _U, "1", "attempts", not_zero="request_max_attempts must not be 0"),
    Setting("http_client_write_request_max_attempts", _U, "0", "attempts of POST or PUT; 0: the general number"),
    Setting("http_client_read_request_max_attempts", _U, "0", "not used for POST"),
    Setting("http_client_delete_request_max_attempts", _U, "0", "not used for POST"),
    Setting("http_client_max_connect_attempts", _U, "0", "0: every address of the host once"),
    Setting("http_client_request_max_redirects", _U, "0", "0: redirects are refused"),
    Setting(
        "http_client_max_parallel_connections", _U, "1", "connections to one peer",
        not_zero="http_client_max_parallel_connections must not be 0",
    ),
    Setting(
        "http_client_max_pipelined_requests", _U, "1", "requests on the way in one connection",
        not_zero="http_client_max_pipelined_requests must not be 0",
    ),
    Setting("http_client_max_idle_time", _T, "0", "how long an idle connection is kept"),
    Setting("http_client_proxy_url", _S, "", "HTTP proxy"),
    Setting("http_client_proxy_username", _S, "", "user name for the proxy"),
    Setting("http_client_proxy_password", _S, "", "password for the proxy", secret=True),
    Setting("http_client_proxy_socket_path", _S, "", "UNIX socket of the proxy"),
    Setting("http_client_proxy_ssl_tunnel", Kind.BOOL, "yes", "CONNECT through the proxy for https"),
    Setting("http_client_rawlog_dir", _S, "", "directory for wire logs"),
    Setting("http_client_user_agent", _S, "", "User-Agent header; empty: none"),
    Setting("http_client_auto_redirect", Kind.BOOL, "yes", "follow redirects, as far as their number allows"),
    Setting("http_client_auto_retry", Kind.BOOL, "yes", "retry, as far as the number of attempts allows"),
    Setting("http_client_max_auto_retry_delay", Kind.TIME_SECS, "0", "longest Retry-After to obey"),
    Setting("http_client_dns_ttl", _T, "30 min", "how long addresses are kept"),
    Setting(
        "http_client_connect_backoff_time", _T, "100 ms", "first pause after a failed connect",
        not_zero="http_client_connect_backoff_time_msecs must not be 0",
    ),
    Setting("http_client_connect_backoff_max_time", _T, "1 min", "longest pause after failed connects"),
    Setting("http_client_soft_connect_timeout", _T, "0", "when to try the next address as well"),
    Setting("http_client_response_hdr_max_size", Kind.SIZE, "200 k", "largest response header"),
    Setting("http_client_response_hdr_max_field_size", Kind.SIZE, "8 k", "largest field of a response header"),
    Setting("http_client_response_hdr_max_fields", _U, "50", "most fields of a response header"),
    Setting("http_client_socket_send_buffer_size", Kind.SIZE, "0", "0: the system's"),
    Setting("http_client_socket_recv_buffer_size", Kind.SIZE, "0", "0: the system's"),
    # driver http-post: TLS
    Setting("ssl_client_ca_file", Kind.FILE, "", "trusted CA certificates"),
    Setting("ssl_client_ca_dir", _S, "", "directory of trusted CA certificates"),
    Setting("ssl_client_cert_file", Kind.FILE, "", "client certificate"),
    Setting("ssl_client_key_file", Kind.FILE, "", "key of the client certificate"),
    Setting("ssl_client_key_password", _S, "", "password of that key", secret=True),
    Setting("ssl_client_require_valid_cert", Kind.BOOL, "yes", "verify certificate and host name"),
    Setting("ssl_min_protocol", _S, "TLSv1.2", "oldest TLS version"),
    Setting("ssl_cipher_list", _S, "", "ciphers up to TLS 1.2; empty: the library's"),
    Setting("ssl_cipher_suites", _S, "", "ciphers of TLS 1.3; empty: the library's"),
    Setting("ssl_curve_list", _S, "", "elliptic curves; empty: the library's"),
    Setting("ssl_options", _S, "", "OpenSSL options"),
    Setting("ssl_crypto_device", _S, "", "OpenSSL engine"),
    Setting("ssl_peer_certificate_fingerprint_hash", _S, "", "hash for fingerprints in logs"),
)  # fmt: skip

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every setting of event export by its full name, in the order of the table."""

_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "event_exporter": ("event_exporter_", "http_client_", "ssl_"),
        "metric": ("metric_",),
        "metric_group_by": ("metric_group_by_",),
        "metric_group_by_method": ("metric_group_by_method_",),
    }
)


def settings_of(block: str) -> tuple[Setting, ...]:
    """The settings that mean something in a block of this kind, those of blocks inside it left out."""
    inner = tuple(f"{other}_" for other in BLOCKS if other.startswith(f"{block}_"))
    return tuple(
        row for row in _ROWS if row.name.startswith(_PREFIXES[block]) and not (inner and row.name.startswith(inner))
    )
