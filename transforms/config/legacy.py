"""What a Dovecot 2.3 configuration says, in the words of 2.4: for every old name the lines to write instead.

Rules from Dovecot's configuration language, section "Dovecot 2.3 syntax". 2.4 answers each old name with "Unknown
setting" or "Unknown section name" and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "OLD_SECTIONS",
    "OldSetting",
    "comparison",
    "group_by_lines",
    "is_public_old_name",
    "old_service_setting",
    "old_setting",
    "old_top_setting",
    "version_hint",
]

_WORD = re.compile(r"[A-Za-z0-9:.*?/%_\-]+\Z")
_TIME = re.compile(r"[0-9]{1,10} *[a-z]{0,12}\Z")
_KEYWORDS: Final = frozenset({"and", "or", "not"})
_DRIVERS: Final = frozenset({"log", "drop", "http-post"})
_MAY_HOLD_SECRETS: Final = frozenset({"transport", "transport_args", "transport_timeout"})
_METHOD_ARGUMENTS: Final = {
    "exponential": ("min_magnitude", "max_magnitude", "base"),
    "linear": ("min", "max", "step"),
}


class OldSetting(NamedTuple):
    """A 2.3 setting: what became of it, and the 2.4 lines.

    Attributes:
        message: what became of it.
        lines: what to write.
        terms: of a selector of events, the parts of a filter.
        successor: full name of the setting that is missing as long as the old one stands there.
    """

    message: str
    lines: str
    terms: tuple[str, ...] = ()
    successor: str = ""


def comparison(key: str, value: str) -> str:
    """`key=value` for a filter, in quotes where the language needs them."""
    return f"{_quote(key)}={_quote(value)}"


def old_setting(block: str, key: str, value: str) -> OldSetting | None:
    """The hint for a setting of 2.3's `event_exporter` or `metric`, `None` if there was none of this name.

    Args:
        block: full name of the block's kind.
        key: the key as written, short or full.
        value: its value.
    """
    convert = _CONVERSIONS.get((block, key.removeprefix(f"{block}_")))
    return convert(value) if convert else None


def old_top_setting(key: str) -> OldSetting | None:
    """The same for settings at the top level, of event export and the few that every 2.3 configuration has."""
    for block in ("event_exporter", "metric"):
        if key.startswith(f"{block}_") and (hint := old_setting(block, key, "...")):
            return hint
    successor = _TOP.get(key)
    return OldSetting(f"'{key}' is a setting of Dovecot 2.3", f"write instead:\n{successor}") if successor else None


def is_public_old_name(block: str, key: str) -> bool:
    """Whether this was a setting of such a block in 2.3 that holds no secret."""
    name = key.removeprefix(f"{block}_")
    return (block, name) in _CONVERSIONS and name not in _MAY_HOLD_SECRETS


def old_service_setting(block: str, key: str) -> str:
    """What a setting of 2.3 inside `service NAME { }` is called in 2.4, an empty string if there was none.

    Args:
        block: `service`, or the listener inside.
        key: the setting.
    """
    return _SERVICE.get((block, key), "")


def group_by_lines(value: str) -> str:
    """The `group_by` blocks for a 2.3 value such as `cmd_name duration:exponential:1:5:10`."""
    lines: list[str] = []
    for word in value.replace(",", " ").split():
        field, *rest = word.split(":")
        method = rest[0] if rest else "discrete"
        lines.append(f"group_by {field} {{")
        names = _METHOD_ARGUMENTS.get(method, ())
        if method != "discrete":
            lines.append(f"  method {method} {{")
            lines += [f"    {name} = {number}" for name, number in zip(names, rest[1:], strict=False)]
            lines.append("  }")
        lines.append("}")
    return "\n".join(lines)


def version_hint() -> str:
    """The two lines that a 2.4 configuration starts with."""
    return "write these two lines first:\ndovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0"


def _transport(value: str) -> OldSetting:
    line = f"driver = {value}" if value in _DRIVERS else "driver = log, file, unix, http-post or drop"
    return OldSetting("'transport' of Dovecot 2.3 is now 'driver'", f"write instead:\n{line}")


def _transport_args(_value: str) -> OldSetting:
    return OldSetting(
        "'transport_args' of Dovecot 2.3 was only used by http-post, where it is now 'http_post_url'",
        "write instead, with the same URL:\nhttp_post_url = URL",
        successor="event_exporter_http_post_url",
    )


def _transport_timeout(value: str) -> OldSetting:
    return OldSetting(
        "'transport_timeout' of Dovecot 2.3 limited the whole request, with queueing and retries",
        f"write instead:\nhttp_client_request_absolute_timeout = {value if _TIME.match(value) else '250 msecs'}",
    )


def _format_args(value: str) -> OldSetting:
    word = next((w.removeprefix("time-") for w in value.split() if w in {"time-rfc3339", "time-unix"}), "rfc3339")
    return OldSetting("'format_args' of Dovecot 2.3 is now 'time_format'", f"write instead:\ntime_format = {word}")


def _selector(old: str, new: str, *, words: bool = False) -> Callable[[str], OldSetting]:
    def convert(value: str) -> OldSetting:
        values = value.split() if words else [value]
        terms = tuple(comparison(new, v) for v in values)
        return OldSetting(
            f"'{old}' of Dovecot 2.3 is now a part of 'filter'; several parts are joined with AND",
            f"write instead:\nfilter = {' AND '.join(terms)}",
            terms,
        )

    return convert


def _group_by(value: str) -> OldSetting:
    return OldSetting(
        "'group_by' is a block for each field since Dovecot 2.4", f"write instead:\n{group_by_lines(value)}"
    )


def _quote(value: str) -> str:
    if _WORD.match(value) and value.lower() not in _KEYWORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_CONVERSIONS: Final[Mapping[tuple[str, str], Callable[[str], OldSetting]]] = MappingProxyType(
    {
        ("event_exporter", "transport"): _transport,
        ("event_exporter", "transport_args"): _transport_args,
        ("event_exporter", "transport_timeout"): _transport_timeout,
        ("event_exporter", "format_args"): _format_args,
        ("metric", "event_name"): _selector("event_name", "event"),
        ("metric", "source_location"): _selector("source_location", "source_location"),
        ("metric", "categories"): _selector("categories", "category", words=True),
        ("metric", "group_by"): _group_by,
    }
)

_TOP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mail_location": "mail_driver = maildir\nmail_path = ~/Maildir",
        "disable_plaintext_auth": "auth_allow_cleartext = no",
        "ssl_cert": "ssl_server_cert_file = /path",
        "ssl_key": "ssl_server_key_file = /path",
        "ssl_ca": "ssl_server_ca_file = /path\nssl_client_ca_file = /path",
        "ssl_dh": "ssl_server_dh_file = /path",
        "ssl_client_ca": "ssl_client_ca_file = /path",
        "ssl_client_cert": "ssl_client_cert_file = /path",
        "ssl_client_key": "ssl_client_key_file = /path",
        "ssl_verify_client_cert": "ssl_server_request_client_cert = yes",
        "stats_http_rawlog_dir": "stats_server {\n  http_client_rawlog_dir = /path\n}",
    }
)

_SERVICE: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("inet_listener", "address"): "listen",
        ("service", "service_count"): "restart_request_count",
        ("service", "idle_kill"): "idle_kill_interval",
    }
)

OLD_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"plugin": "'plugin { }' is Dovecot 2.3; since 2.4 its settings stand at the top level under new names"}
)
"""Sections that 2.4 doesn't have, with what became of them."""
