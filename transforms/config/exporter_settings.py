"""Settings of `event_exporter` blocks: those of all exporters, those of drivers, and those that change nothing.

Dovecot's are those of its configuration language, sections "Setting tables" and "HTTP and TLS settings".
"""

from __future__ import annotations

from typing import Final

from dovebeam.transforms.drivers import DRIVER_NAMES, DRIVER_SETTINGS
from dovebeam.transforms.drivers.kinds import Kind
from dovebeam.transforms.drivers.setting import Setting
from dovebeam.transforms.formats import FORMAT_NAMES, TIME_FORMATS

__all__ = ["EXPORTER_SETTINGS"]

_HTTP: Final = ("http-post",)
_TLS: Final = ("http-post", "log")
_HEADER_LIMITS: Final = "answers are limited to 300 KiB of header and 100 KiB a field"

_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_ALL: Final = (
    Setting(
        "event_exporter_name",
        Kind.NAME,
        "",
        "name of the exporter, which metrics refer to; leave it to the name of the block",
        block_only=True,
    ),
    Setting("event_exporter_driver", Kind.ENUM, "log", "how and where events are delivered", DRIVER_NAMES),
    Setting(
        "event_exporter_format",
        _S,
        "",
        "how an event is written: `json`, `tab-text` or `none`; it has no default",
        FORMAT_NAMES,
        block_only=True,
    ),
    Setting(
        "event_exporter_time_format",
        Kind.ENUM,
        "rfc3339",
        "timestamps in the output: `rfc3339`, as in 2026-11-22T08:15:39.985628Z, or `unix`, seconds since 1970",
        TIME_FORMATS,
    ),
)
"""What every exporter has."""

_UNUSED: Final = (
    Setting(
        "http_client_read_request_timeout",
        _T,
        "0",
        "for requests that read, of which an export makes none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_delete_request_timeout",
        _T,
        "0",
        "for requests that delete, of which an export makes none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_read_request_max_attempts",
        _U,
        "0",
        "for requests that read, of which an export makes none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_delete_request_max_attempts",
        _U,
        "0",
        "for requests that delete, of which an export makes none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_max_connect_attempts",
        _U,
        "0",
        "how many connections are tried for a request; 0 for every address of the host once",
        no_effect="each address of the host is tried once in an attempt; set http_client_request_max_attempts",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_max_pipelined_requests",
        _U,
        "1",
        "requests that are on their way in one connection",
        not_zero="http_client_max_pipelined_requests must not be 0",
        no_effect="requests are not pipelined; set http_client_max_parallel_connections",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_proxy_socket_path",
        _S,
        "",
        "UNIX socket of a proxy; refused, since dovebeam supports none",
        refused="a proxy behind a UNIX socket is not supported; use http_client_proxy_url",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_rawlog_dir",
        _S,
        "",
        "directory for logs of the bytes on the wire",
        no_effect="requests hold credentials and mail data, and are not logged",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_size",
        Kind.SIZE,
        "200 k",
        "largest header of an answer",
        no_effect=_HEADER_LIMITS,
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_field_size",
        Kind.SIZE,
        "8 k",
        "largest field in the header of an answer",
        no_effect=_HEADER_LIMITS,
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_fields",
        _U,
        "50",
        "most fields in the header of an answer",
        no_effect=f"the number of fields is only limited by their size; {_HEADER_LIMITS}",
        drivers=_HTTP,
    ),
    Setting(
        "ssl_options",
        _S,
        "",
        "options of OpenSSL",
        no_effect="OpenSSL's own defaults hold",
        drivers=_TLS,
    ),
    Setting(
        "ssl_crypto_device",
        _S,
        "",
        "engine of OpenSSL",
        no_effect="OpenSSL's engines are not used",
        drivers=_TLS,
    ),
    Setting(
        "ssl_peer_certificate_fingerprint_hash",
        _S,
        "",
        "hash for the fingerprints of certificates in logs",
        no_effect="no fingerprints are logged",
        drivers=_TLS,
    ),
)
"""What Dovecot's HTTP client and TLS have, and no driver uses."""

EXPORTER_SETTINGS: Final = (*_ALL, *DRIVER_SETTINGS, *_UNUSED)
