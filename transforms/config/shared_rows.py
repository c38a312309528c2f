"""Rows of the table of settings: blocks `metric NAME` with what is in them, and the HTTP client with its TLS.

From Dovecot's configuration language, sections "Setting tables" and "HTTP and TLS settings".
"""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.config.setting import Setting
from dovebeam.transforms.config.types import Kind
from dovebeam.transforms.formats import INCLUDE_PARTS

__all__ = ["METHOD_NAMES", "SHARED_ROWS"]

METHOD_NAMES: Final = ("discrete", "exponential", "linear")

_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_METRIC: Final = (
    Setting(
        "metric_name", Kind.NAME, "", "name of the metric; leave it to the name of the block", block_only=True
    ),
    Setting(
        "metric_filter", _S, "", "which events it matches, in Dovecot's filter language; it has no default",
        block_only=True,
    ),
    Setting("metric_exporter", _S, "", "name of the `event_exporter` block that matching events go to; empty for none"),
    Setting(
        "metric_exporter_include", Kind.BOOL_LIST, " ".join(INCLUDE_PARTS), "which parts of an event are exported",
        INCLUDE_PARTS,
    ),
    Setting(
        "metric_fields", Kind.BOOL_LIST, "",
        "if not empty, only these fields of an event are exported, and statistics are kept on them",
    ),
    Setting(
        "metric_known_names", Kind.BOOL_LIST, "",
        "names of events, fields and categories that plugins or Lua scripts add, with the wildcards `*` and `?`; "
        "`dovebeam check` does not warn about them",
        extension=True,
    ),
    Setting("metric_description", _S, "", "help text of the statistics; it changes nothing in an export"),
)  # fmt: skip

_GROUPS: Final = (
    Setting("metric_group_by_field", Kind.NAME, "", "the field that statistics are grouped by", block_only=True),
    Setting(
        "metric_group_by_method_method", Kind.NAME, "", "how values of the field are put into groups", METHOD_NAMES,
        block_only=True,
    ),
    Setting(
        "metric_group_by_method_discrete_modifier", _S, "", "template that makes the group's name of the value",
        expanded=False,
    ),
    Setting(
        "metric_group_by_method_exponential_min_magnitude", _U, "0", "exponent of the limit of the first group"
    ),
    Setting("metric_group_by_method_exponential_max_magnitude", _U, "0", "exponent of the limit of the last group"),
    Setting("metric_group_by_method_exponential_base", _U, "10", "base of the limits of groups, 2 or 10"),
    Setting("metric_group_by_method_linear_min", Kind.UINT64, "0", "limit of the first group"),
    Setting("metric_group_by_method_linear_max", Kind.UINT64, "0", "limit of the last group"),
    Setting("metric_group_by_method_linear_step", Kind.UINT64, "0", "how far the limits of two groups are apart"),
)  # fmt: skip

_CLIENT: Final = (
    Setting(
        "http_client_request_absolute_timeout", _T, "0",
        "limit of one attempt from its start. If nobody sets it, it is the 250 ms that Dovecot documents for event "
        "export; a written 0 is no limit",
    ),
    Setting(
        "http_client_request_timeout", _T, "1 min", "limit of one attempt, if the absolute one is not shorter",
        not_zero="http_client_request_timeout_msecs must not be 0",
    ),
    Setting(
        "http_client_write_request_timeout", _T, "0",
        "limit of one attempt of a request that writes, as POST does; 0 for `http_client_request_timeout`",
    ),
    Setting("http_client_read_request_timeout", _T, "0", "for requests that read, of which an export makes none"),
    Setting("http_client_delete_request_timeout", _T, "0", "for requests that delete, of which an export makes none"),
    Setting(
        "http_client_connect_timeout", _T, "0",
        "limit of setting up a connection, with TLS, within an attempt; 0 for none of its own",
    ),
    Setting(
        "http_client_request_max_attempts", _U, "1", "how often a request is tried in all; 1 is no retry",
        not_zero="request_max_attempts must not be 0",
    ),
    Setting(
        "http_client_write_request_max_attempts", _U, "0",
        "how often a request that writes, as POST does, is tried; 0 for `http_client_request_max_attempts`",
    ),
    Setting("http_client_read_request_max_attempts", _U, "0", "for requests that read, of which an export makes none"),
    Setting(
        "http_client_delete_request_max_attempts", _U, "0", "for requests that delete, of which an export makes none"
    ),
    Setting(
        "http_client_max_connect_attempts", _U, "0",
        "how many connections are tried for a request; 0 for every address of the host once",
    ),
    Setting(
        "http_client_request_max_redirects", _U, "0",
        "how many redirects a request follows; 0 refuses them, and none leads to another host",
    ),
    Setting(
        "http_client_max_parallel_connections", _U, "1",
        "connections to the target that each worker thread has; with more than 1, events have no order",
        not_zero="http_client_max_parallel_connections must not be 0",
    ),
    Setting(
        "http_client_max_pipelined_requests", _U, "1", "requests that are on their way in one connection",
        not_zero="http_client_max_pipelined_requests must not be 0",
    ),
    Setting(
        "http_client_max_idle_time", _T, "0",
        "how long an idle connection is kept; 0 keeps it until the server closes it, 118 s at most",
    ),
    Setting("http_client_proxy_url", _S, "", "URL of an HTTP proxy; proxies of the environment are never used"),
    Setting("http_client_proxy_username", _S, "", "user name for the proxy", secret=True),
    Setting("http_client_proxy_password", _S, "", "password for the proxy", secret=True),
    Setting(
        "http_client_proxy_socket_path", _S, "", "UNIX socket of a proxy; refused, since dovebeam supports none"
    ),
    Setting(
        "http_client_proxy_ssl_tunnel", Kind.BOOL, "yes",
        "whether https goes through the proxy by CONNECT; `no` is refused for an https URL with a proxy",
    ),
    Setting("http_client_rawlog_dir", _S, "", "directory for logs of the bytes on the wire"),
    Setting("http_client_user_agent", _S, "", "the User-Agent header; empty for no such header"),
    Setting(
        "http_client_auto_redirect", Kind.BOOL, "yes",
        "whether redirects are followed, as far as their number allows",
    ),
    Setting(
        "http_client_auto_retry", Kind.BOOL, "yes",
        "whether requests are sent again, as far as the number of attempts allows",
    ),
    Setting(
        "http_client_max_auto_retry_delay", Kind.TIME_SECS, "0",
        "the longest Retry-After that is waited for; 0 for the limit of an attempt",
    ),
    Setting("http_client_dns_ttl", _T, "30 min", "how long the addresses of the host are kept"),
    Setting(
        "http_client_connect_backoff_time", _T, "100 ms",
        "the pause before the second attempt is random up to this, and up to twice as much before each further one",
        not_zero="http_client_connect_backoff_time_msecs must not be 0",
    ),
    Setting("http_client_connect_backoff_max_time", _T, "1 min", "the longest pause between two attempts"),
    Setting(
        "http_client_soft_connect_timeout", _T, "0",
        "when the next address of the host is tried beside the first; 0 for 200 ms",
    ),
    Setting("http_client_response_hdr_max_size", Kind.SIZE, "200 k", "largest header of an answer"),
    Setting("http_client_response_hdr_max_field_size", Kind.SIZE, "8 k", "largest field in the header of an answer"),
    Setting("http_client_response_hdr_max_fields", _U, "50", "most fields in the header of an answer"),
    Setting(
        "http_client_socket_send_buffer_size", Kind.SIZE, "0", "size of a socket's send buffer; 0 for the system's"
    ),
    Setting(
        "http_client_socket_recv_buffer_size", Kind.SIZE, "0", "size of a socket's receive buffer; 0 for the system's"
    ),
)  # fmt: skip

_TLS: Final = (
    Setting(
        "ssl_client_ca_file", Kind.FILE, "",
        "file of trusted CA certificates; without it and `ssl_client_ca_dir` those of the system are trusted",
    ),
    Setting(
        "ssl_client_ca_dir", _S, "", "directory of trusted CA certificates, prepared by `openssl rehash`"
    ),
    Setting("ssl_client_cert_file", Kind.FILE, "", "client certificate in PEM, with its chain"),
    Setting("ssl_client_key_file", Kind.FILE, "", "key of the client certificate"),
    Setting(
        "ssl_client_key_password", _S, "", "password of that key", secret=True
    ),
    Setting(
        "ssl_client_require_valid_cert", Kind.BOOL, "yes",
        "whether certificate and host name of the server are verified",
    ),
    Setting("ssl_min_protocol", _S, "TLSv1.2", "oldest version of TLS that is spoken"),
    Setting("ssl_cipher_list", _S, "", "ciphers up to TLS 1.2; empty for those of the library"),
    Setting("ssl_cipher_suites", _S, "", "ciphers of TLS 1.3; empty for those of the library"),
    Setting("ssl_curve_list", _S, "", "elliptic curves; empty for those of the library"),
    Setting("ssl_options", _S, "", "options of OpenSSL"),
    Setting("ssl_crypto_device", _S, "", "engine of OpenSSL"),
    Setting("ssl_peer_certificate_fingerprint_hash", _S, "", "hash for the fingerprints of certificates in logs"),
)  # fmt: skip

SHARED_ROWS: Final = (*_METRIC, *_GROUPS, *_CLIENT, *_TLS)
