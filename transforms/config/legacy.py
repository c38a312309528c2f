"""Dovecot 2.3 configurations: for every old name the 2.4 lines to write instead, and the check of the version.

Rules from Dovecot's configuration language, sections "Dovecot 2.3 syntax" and "First setting". 2.4 answers each old
name with "Unknown setting" or "Unknown section name" and nothing else. A 2.3 file has no version, so its first message
is that of the version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.files import TooLargeError
from dovebeam.transforms.config.known_names import SUPPORTED_VERSIONS, is_newer
from dovebeam.transforms.config.places import Place, Stage, at_line, is_guarded_name
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment, Statement, StatementError, ValueKind
from dovebeam.transforms.config.written_values import value_of

__all__ = [
    "OLD_SECTIONS",
    "VERSION_SETTINGS",
    "add_comparison",
    "assume_version",
    "check_first",
    "check_versions_at_end",
    "group_by_lines",
    "is_public_old_name",
    "note_selector",
    "old_service_setting",
    "old_setting",
    "old_top_setting",
    "set_version",
    "suggest_filter",
]


_CONFIG_VERSION: Final = "dovecot_config_version"
VERSION_SETTINGS: Final = frozenset({_CONFIG_VERSION, "dovecot_storage_version"})
"""Settings that state a version, both of which a configuration must have."""

_PLAIN_WORD = re.compile(r"[A-Za-z0-9:.*?/%_\-]+\Z")
_TIME = re.compile(r"[0-9]{1,10} *[a-z]{0,12}\Z")
# As values of a filter these need quotes: the language reads them as operators.
_KEYWORDS: Final = frozenset({"and", "or", "not"})
# 2.4 has `file` and `unix` as well, which 2.3 did not know.
_OLD_TRANSPORTS: Final = frozenset({"log", "drop", "http-post"})
# A URL with a token, and settings next to it where people write one by mistake.
_MAY_HOLD_SECRETS: Final = frozenset({"transport", "transport_args", "transport_timeout"})
_METHOD_ARGUMENTS: Final = {
    "exponential": ("min_magnitude", "max_magnitude", "base"),
    "linear": ("min", "max", "step"),
}


class OldSetting(NamedTuple):
    """A 2.3 setting and its replacement in 2.4.

    Attributes:
        message: how 2.4 does what the setting did.
        lines: what to write.
        terms: for a selector of events, the parts of a filter.
        successor: full name of the setting that is missing as long as the old one is there.
    """

    message: str
    lines: str
    terms: tuple[str, ...] = ()
    successor: str = ""


def _comparison(key: str, value: str) -> str:
    """Comparison `key=value` for a filter, in quotes where the language needs them."""
    return f"{_quote(key)}={_quote(value)}"


def old_setting(block: str, key: str, value: str) -> OldSetting | None:
    """Hint for a setting of 2.3's `event_exporter` or `metric`, `None` if 2.3 had no such setting.

    Args:
        block: full name of the block's kind.
        key: the key as written, short or full.
        value: its value.
    """
    convert = _CONVERSIONS.get((block, key.removeprefix(f"{block}_")))
    return convert(value) if convert else None


def old_top_setting(key: str) -> OldSetting | None:
    """Hint for a 2.3 setting at the top level: of event export, or one of the few that every 2.3 configuration has."""
    for block in ("event_exporter", "metric"):
        # Without the value: a line outside of our blocks may hold a secret of another part of Dovecot.
        if key.startswith(f"{block}_") and (hint := old_setting(block, key, "...")):
            return hint
    successor = _TOP_LEVEL_SETTINGS.get(key)
    return OldSetting(f"'{key}' is a setting of Dovecot 2.3", f"write instead:\n{successor}") if successor else None


def is_public_old_name(block: str, key: str) -> bool:
    """Whether this was a setting of such a block in 2.3, and one that holds no secret."""
    name = key.removeprefix(f"{block}_")
    return (block, name) in _CONVERSIONS and name not in _MAY_HOLD_SECRETS


def old_service_setting(block: str, key: str) -> str:
    """Name in 2.4 of a 2.3 setting inside `service NAME { }`, an empty string if it was not renamed.

    Args:
        block: `service`, or the kind of the listener inside.
        key: the name in 2.3.
    """
    return _SERVICE_SETTINGS.get((block, key), "")


def group_by_lines(value: str) -> str:
    """Blocks `group_by` for a 2.3 value such as `cmd_name duration:exponential:1:5:10`."""
    lines: list[str] = []
    for word in value.replace(",", " ").split():
        field, *rest = word.split(":")
        method = rest[0] if rest else "discrete"
        lines.append(f"group_by {field} {{")
        # 2.3 wrote the arguments by position, 2.4 has a name for each.
        names = _METHOD_ARGUMENTS.get(method, ())
        if method != "discrete":
            lines.append(f"  method {method} {{")
            lines += [f"    {name} = {number}" for name, number in zip(names, rest[1:], strict=False)]
            lines.append("  }")
        lines.append("}")
    return "\n".join(lines)


def _version_hint() -> str:
    """Suggestion with the two lines that a 2.4 configuration starts with."""
    return "write these two lines first:\ndovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0"


def _transport(value: str) -> OldSetting:
    # Only known words: people write URLs and tokens in this place.
    line = f"driver = {value}" if value in _OLD_TRANSPORTS else "driver = log, file, unix, http-post or drop"
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
    # 2.3 had no default; the default of 2.4 is rfc3339.
    word = next((w.removeprefix("time-") for w in value.split() if w in {"time-rfc3339", "time-unix"}), "rfc3339")
    return OldSetting("'format_args' of Dovecot 2.3 is now 'time_format'", f"write instead:\ntime_format = {word}")


def _selector(old: str, new: str, *, words: bool = False) -> Callable[[str], OldSetting]:
    def convert(value: str) -> OldSetting:
        values = value.split() if words else [value]
        terms = tuple(_comparison(new, v) for v in values)
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
    if _PLAIN_WORD.match(value) and value.lower() not in _KEYWORDS:
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

_TOP_LEVEL_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Not of event export, but in nearly every 2.3 file: the operator learns that the whole file is old.
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

_SERVICE_SETTINGS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("inet_listener", "address"): "listen",
        ("service", "service_count"): "restart_request_count",
        ("service", "idle_kill"): "idle_kill_interval",
    }
)

OLD_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"plugin": "'plugin { }' is Dovecot 2.3; since 2.4 its settings stand at the top level under new names"}
)
"""Sections that 2.4 doesn't have, with their replacement."""


# The selectors of a 2.3 metric (`event_name`, `categories`, `filter { }`), put together to one `filter` line of 2.4.


def note_selector(state: ParserState, metric: Context, terms: tuple[str, ...] = ()) -> None:
    """Remember the last error as one about a selector of a metric, and the part of a filter that replaces it."""
    # The filter is missing because of this error, which is enough.
    metric.excused = True
    metric.old_terms += terms
    # Otherwise the error was only counted, and the last one in the list is another.
    if not state.report.dropped_errors:
        metric.old_errors.append(len(state.report.errors) - 1)


def add_comparison(state: ParserState, metric: Context, statement: Assignment) -> None:
    """Remember a line of a 2.3 block `filter { }` as a part of the filter; all of them had to match."""
    # A suggestion repeats the value, so what may hold a secret or another setting is left out.
    if statement.kind in {ValueKind.HEREDOC, ValueKind.FILE} or len(statement.line.marks) > 1:
        return
    if is_guarded_name(statement.key):
        return
    try:
        value = value_of(statement, state.environ)
    except StatementError:
        return
    if not value.from_outside and not value.names:
        metric.old_terms.append(_comparison(statement.key, value.text))


def suggest_filter(state: ParserState, metric: Context) -> None:
    """At the end of a metric: suggest the whole filter with each error about a part of it."""
    if not metric.old_terms:
        return
    assigned = metric.scalars.get("metric_filter")
    terms = [f"({assigned.value.text})"] if assigned and assigned.value.is_public and assigned.value.text else []
    several = " of all of them" if len(metric.old_errors) > 1 or terms else ""
    # A selector that is written twice counts once.
    line = f"filter = {' AND '.join(dict.fromkeys([*terms, *metric.old_terms]))}"
    for number in metric.old_errors:
        state.report.suggest(number, f"write instead{several}:\n{line}")
    metric.old_terms.clear()
    metric.old_errors.clear()


# The versions that a configuration must state.


def check_first(state: ParserState, statement: Statement) -> None:
    """Check that the very first statement is the version."""
    state.started = True
    if isinstance(statement, Assignment) and statement.key == _CONFIG_VERSION:
        return
    line = statement.line
    text = "The first setting must be dovecot_config_version"
    if line.text.startswith("\ufeff"):
        message = "the file starts with a byte order mark, which Dovecot takes for a part of the first name; remove it"
        state.error(line, line.place(0), text, message=message)
        if isinstance(statement, Assignment) and statement.key.removeprefix("\ufeff") == _CONFIG_VERSION:
            return  # the caller removes the mark and carries the assignment out
    # `--config overlay.conf --config dovecot.conf` is a common mistake; the message gives the right order.
    elif complete := next((path for path in state.others if _begins_with_version(state, path)), ""):
        message = (
            f"this file has no dovecot_config_version, and {complete} has it: name the complete file first, as in "
            f"--config {complete} --config {state.main_path}"
        )
        state.error(line, line.place(0), text, message=message)
    else:
        message = (
            "the first setting must be dovecot_config_version; a file without it is a Dovecot 2.3 configuration, or an "
            "included part of a larger one: then give the main file instead, or first (--config MAIN --config PART)"
        )
        state.error(line, line.place(0), text, message=message, suggestion=_version_hint())
    assume_version(state)


def _begins_with_version(state: ParserState, path: str) -> bool:
    """Whether the first setting of a file is the version."""
    try:
        lines = state.reader.files.read(path).splitlines()
    except (OSError, TooLargeError):
        return False
    settings = (line.strip() for line in lines)
    return next((line for line in settings if line and not line.startswith("#")), "").startswith(_CONFIG_VERSION)


def set_version(state: ParserState, statement: Assignment) -> None:
    """Carry out the assignment of one of `VERSION_SETTINGS`."""
    value = state.read_value(statement, ours=True)
    if value is None:
        return
    if statement.key != _CONFIG_VERSION:
        state.storage_version_set = True
        return
    line = statement.line
    # A second, different version is a mistake even if it is newer.
    if is_newer(value.text) and state.config_version in {"", value.text}:
        text = f"Invalid {_CONFIG_VERSION}: Currently supported versions are: {' '.join(SUPPORTED_VERSIONS)}"
        message = (
            f"Dovecot {value.text} is newer than this dovebeam, which knows {SUPPORTED_VERSIONS[-2]}; "
            "what it does not know is left out, with a warning"
        )
        number = state.reader.number
        state.report.later(value.place, message, dovecot=at_line(line.path, number, text))
    elif value.text not in SUPPORTED_VERSIONS:
        versions = " ".join(SUPPORTED_VERSIONS)
        text = f"Invalid {_CONFIG_VERSION}: Currently supported versions are: {versions}"
        state.error(line, value.place, text, message=f"unknown version '{value.text}'; supported are: {versions}")
    elif state.config_version and value.text != state.config_version:
        text = f"{_CONFIG_VERSION} value can't be changed once set"
        state.error(line, value.place, text, message=f"{text}; it is {state.config_version} already")
        return
    state.config_version = value.text


def check_versions_at_end(state: ParserState) -> None:
    """Check that the first file has stated both versions."""
    place = Place(state.main_path, 0, 0, "")
    if not state.started:
        message = "the file has no settings; dovecot_config_version must be the first one"
        text = f"Error in configuration file {state.main_path}: The first setting must be {_CONFIG_VERSION}"
        state.report.error(place, message, dovecot=text, suggestion=_version_hint(), stage=Stage.END_OF_INPUT)
    elif not state.storage_version_set:
        text = "dovecot_storage_version setting must be set"
        state.report.error(
            place, text, dovecot=text, suggestion="write: dovecot_storage_version = 2.4.0", stage=Stage.END_OF_INPUT
        )


def assume_version(state: ParserState) -> None:
    """Go on after a wrong or missing version as if the oldest supported one had been stated."""
    state.config_version = state.config_version or SUPPORTED_VERSIONS[0]
    state.storage_version_set = True
