"""Table of settings: every setting of event export, one row each, Dovecot's own and dovebeam's extensions.

Names, types, defaults and limits from Dovecot's configuration language, sections "Setting tables" and "HTTP and TLS
settings". The rows of drivers are what their fields declare (`drivers.setting`). Reading, checks, inheritance,
suggestions, `Exporter.settings` and the reference follow from the table. A row whose full name starts with
`event_exporter_` has the rest of its name as the short one inside an exporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.drivers import DRIVER_NAMES, DRIVER_SETTINGS
from dovebeam.transforms.drivers.setting import Kind, Setting
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


_HTTP: Final = ("http-post",)
_TLS: Final = ("http-post", "log")
_HEADER_LIMITS: Final = "headers of responses are limited to 300 KiB, and each field to 100 KiB"

_S, _T, _U = Kind.STRING, Kind.TIME, Kind.UINT

_COMMON: Final = (
    Setting(
        "event_exporter_name",
        Kind.NAME,
        "",
        "name of the exporter, which metrics refer to; do not set it: the name of the block is used",
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
"""Settings that every exporter has."""

# They are in the table so that a configuration that Dovecot accepts is accepted here, with a warning that says why
# the value changes nothing. `no_effect` is missing where a setting has no effect on event export in Dovecot either.
_WITHOUT_EFFECT: Final = (
    Setting(
        "http_client_read_request_timeout",
        _T,
        "0",
        "time limit of a GET request; an export sends none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_delete_request_timeout",
        _T,
        "0",
        "time limit of a DELETE request; an export sends none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_read_request_max_attempts",
        _U,
        "0",
        "maximum number of attempts of a GET request; an export sends none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_delete_request_max_attempts",
        _U,
        "0",
        "maximum number of attempts of a DELETE request; an export sends none",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_max_connect_attempts",
        _U,
        "0",
        "maximum number of connection attempts for a request; 0 tries each address of the host once",
        no_effect="each address of the host is tried once in an attempt; set http_client_request_max_attempts",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_max_pipelined_requests",
        _U,
        "1",
        "maximum number of requests in flight on one connection",
        not_zero="http_client_max_pipelined_requests must not be 0",
        no_effect="requests are not pipelined; set http_client_max_parallel_connections",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_proxy_socket_path",
        _S,
        "",
        "UNIX socket of a proxy; dovebeam does not support it and refuses any value",
        # An error and not a warning: without the proxy, events would go out another way than the operator wants.
        refused="a proxy behind a UNIX socket is not supported; use http_client_proxy_url",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_rawlog_dir",
        _S,
        "",
        "directory for raw logs of requests and responses",
        no_effect="requests hold credentials and mail data, and are not logged",
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_size",
        Kind.SIZE,
        "200 k",
        "maximum size of all header fields of a response",
        no_effect=_HEADER_LIMITS,
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_field_size",
        Kind.SIZE,
        "8 k",
        "maximum size of one header field of a response",
        no_effect=_HEADER_LIMITS,
        drivers=_HTTP,
    ),
    Setting(
        "http_client_response_hdr_max_fields",
        _U,
        "50",
        "maximum number of header fields of a response",
        no_effect=f"the number of fields is only limited by their size; {_HEADER_LIMITS}",
        drivers=_HTTP,
    ),
    Setting(
        "ssl_options",
        _S,
        "",
        "options of OpenSSL",
        no_effect="OpenSSL's defaults apply",
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
        "hash algorithm for the fingerprints of certificates in logs",
        no_effect="no fingerprints are logged",
        drivers=_TLS,
    ),
)
"""Settings of Dovecot's HTTP client and TLS that no driver uses."""

METHOD_NAMES: Final = ("discrete", "exponential", "linear")


_METRIC: Final = (
    Setting(
        "metric_name", Kind.NAME, "", "name of the metric in statistics; by default the name of the block",
        block_only=True,
    ),
    Setting(
        "metric_filter", _S, "", "which events the metric matches, in Dovecot's filter language; it has no default",
        block_only=True,
    ),
    Setting(
        "metric_exporter", _S, "",
        "name of the `event_exporter` block that matching events go to; empty exports nothing",
    ),
    Setting(
        "metric_exporter_include", Kind.BOOL_LIST, " ".join(INCLUDE_PARTS),
        "parts of an event that the exporter writes",
        INCLUDE_PARTS,
    ),
    Setting(
        "metric_fields", Kind.BOOL_LIST, "",
        "fields that the exporter writes, in this order; empty writes all. Dovecot also keeps statistics on them",
    ),
    Setting(
        "metric_known_names", Kind.BOOL_LIST, "",
        "names of events, fields and categories that plugins or Lua scripts add, with the wildcards `*` and `?`; "
        "`dovebeam check` does not warn about them",
        extension=True,
    ),
    Setting("metric_description", _S, "", "description of the metric in statistics; it does not change an export"),
)  # fmt: skip

_GROUP_BY: Final = (
    Setting("metric_group_by_field", Kind.NAME, "", "the field that statistics are grouped by", block_only=True),
    Setting(
        "metric_group_by_method_method", Kind.NAME, "", "how the values of the field are grouped", METHOD_NAMES,
        block_only=True,
    ),
    Setting(
        "metric_group_by_method_discrete_modifier", _S, "", "template for the name of a group, made from the value",
        # Dovecot expands it for each event, not at start, so its `%{value}` must survive.
        expanded=False,
    ),
    Setting(
        "metric_group_by_method_exponential_min_magnitude", _U, "0",
        "exponent of the upper bound of the first group, which has no lower bound",
    ),
    Setting(
        "metric_group_by_method_exponential_max_magnitude", _U, "0",
        "exponent of the lower bound of the last group, which has no upper bound",
    ),
    Setting("metric_group_by_method_exponential_base", _U, "10", "base of the bounds of the groups, 2 or 10"),
    Setting(
        "metric_group_by_method_linear_min", Kind.UINT64, "0",
        "upper bound of the first group, which has no lower bound",
    ),
    Setting(
        "metric_group_by_method_linear_max", Kind.UINT64, "0",
        "lower bound of the last group, which has no upper bound",
    ),
    Setting(
        "metric_group_by_method_linear_step", Kind.UINT64, "0",
        "width of the groups between the first and the last group",
    ),
)  # fmt: skip

BLOCKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "stats",
        "metric": "stats",
        "metric_group_by": "stats_metric",
        "metric_group_by_method": "stats_metric_group_by",
    }
)
"""Blocks with a name ("named list filters"), and the structure that Dovecot's messages say they belong to."""

# Of the many plain blocks of Dovecot only these two hold settings of event export.
PLAIN_BLOCKS: Final = frozenset({"event_exporter_http_post", "ssl_client"})
"""Blocks without a name ("named filters"): a key completed with their name is stored in the enclosing block."""

NAME_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "event_exporter": "event_exporter_name",
        "metric": "metric_name",
        "metric_group_by": "metric_group_by_field",
        "metric_group_by_method": "metric_group_by_method_method",
    }
)
"""Setting of each named block that has the block's name as its initial value."""

# The order is that of the settings reference.
_ROWS: Final = (*_COMMON, *DRIVER_SETTINGS, *_WITHOUT_EFFECT, *_METRIC, *_GROUP_BY)

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every setting of event export by its full name, in the order of the table."""

_NAME_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # Dovecot accepts any setting in any block; these prefixes are those that have an effect there.
        "event_exporter": ("event_exporter_", "http_client_", "ssl_"),
        "metric": ("metric_",),
        "metric_group_by": ("metric_group_by_",),
        "metric_group_by_method": ("metric_group_by_method_",),
    }
)


def settings_of(block: str) -> tuple[Setting, ...]:
    """Settings that apply in a block of this kind, without those of blocks inside it."""
    # The name of an inner block starts with that of its outer one: metric_group_by_field is not a setting of metric.
    inner = tuple(f"{other}_" for other in BLOCKS if other.startswith(f"{block}_"))
    return tuple(
        row
        for row in _ROWS
        if row.name.startswith(_NAME_PREFIXES[block]) and not (inner and row.name.startswith(inner))
    )
