"""Which fields of Dovecot's events are not strings: the only way to recover a type that an export has lost.

A JSON export shows IP addresses and (rfc3339) timestamps as strings, a tab-text export shows everything as text.
Nothing in the value tells them apart, so the type comes from the name of the field, the name of the event and its
categories, and only where the value has the exact text that the type would have been written as. Source: Dovecot's
event documentation and the types that real Dovecot events were seen with.

What cannot be recovered: the type of a field that is not known here, a string of a known IP, timestamp or integer field
that happens to look like one, in tab-text the difference between an empty list, a list of one empty string and an empty
string.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN
from dovebeam.transforms.values.addresses import IPAddress, canonical_ip
from dovebeam.transforms.values.timestamps import Timestamp, parse_rfc3339

__all__ = ["CATALOGUE", "Catalogue", "FieldType", "Value"]

FieldType = Literal["str", "int", "ip", "timestamp", "strlist"]
Value = str | int | Timestamp | IPAddress | list[str]

_INT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")

_INT_SUFFIXES: Final = ("_bytes", "_usecs", "_port", "_size", "_count", "_pid", "_uid", "_gid")
_INT_FIELDS: Final = frozenset(
    """
    alloc_size attempts auth_attempts auth_successes auth_usecs command_id compile_errors compile_warnings
    connected_usecs count data_sent data_size delay_ms dest_port duration error_code error_code_extended file_seq
    file_size first_uid frame_alloc_bytes frame_alloc_count hibernation_usecs id idle_usecs index invol_cs
    last_alloc_size last_block_size last_uid last_used local_port lock_wait_usecs mail_age_days mail_param_size
    major_faults max_uid message_count message_size message_vsize minor_faults net_in_bytes net_out_bytes
    policy_penalty policy_response port prev_deleted_records prev_file_seq prev_file_size rchar rcpt_index
    real_local_port real_remote_port recipients recipients_aborted recipients_denied recipients_failed
    recipients_succeeded reconnect_attempts redirects remote_gid remote_pid remote_port remote_uid request_id rows rss
    running_usecs seq source_port status status_code stime syscr syscw tls_cipher_bits uid used_size user_cpu_usecs
    utime vol_cs vsz wchar
    """.split()
)
_STRLIST_FIELDS: Final = frozenset({"reason_code"})

# Dovecot's generic connection code stores its addresses as text, and events below such a connection inherit them; what
# a session set is an address. So in LMTP and submission, whose servers are such connections, `local_ip` and `remote_ip`
# of deliveries, dict lookups and mails are text, and in IMAP and POP3 they are addresses, also in connections to a
# server.
_CLIENT_ADDRESSES: Final = frozenset({"local_ip", "remote_ip"})
_TEXT_CLIENT_CATEGORIES: Final = ("smtp-server", "http-server")
_TEXT_CLIENT_EVENTS: Final = ("client_connection_", "http_server_request_")
_SERVER_ADDRESSES: Final = frozenset({"source_ip", "dest_ip"})
_TEXT_SERVER_EVENTS: Final = ("server_connection_", "client_connection_", "smtp_client_", "http_server_request_")
# Without categories: events that always have smtp-server, and those that have it whenever they have an address.
_SMTP_SERVER_EVENTS: Final = ("smtp_server_",)
_PROBABLE_SMTP_SERVER_EVENTS: Final = (*_SMTP_SERVER_EVENTS, "mail_delivery_")
# Fields that are integers in some events and strings in these, or only in those.
_STRING_IN_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "error_code": ("proxy_session_finished", "proxy_session_reconnecting"),
    "status": ("fts_flatcurve_rescan",),
}
_INT_ONLY_IN_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("auth_client_", "auth_master_client_login_"),
}


@dataclass(frozen=True)
class Catalogue:
    """The types of fields by name, with `overrides` for fields that Dovecot itself does not have.

    Attributes:
        overrides: field name to type; wins over everything that is built in.
    """

    overrides: Mapping[str, FieldType] = field(default_factory=dict)

    def is_candidate(self, key: str) -> bool:
        """Whether strings of this field in a JSON export may stand for an address or a timestamp."""
        override = self.overrides.get(key)
        if override is not None:
            return override in ("ip", "timestamp")
        return key.endswith(("_ip", "_time")) or key == "ip"

    def needs_categories(self, key: str) -> bool:
        """Whether the type of the field `key` depends on the categories of its event."""
        return key in _CLIENT_ADDRESSES and key not in self.overrides

    def is_guess(self, key: str, event_name: str | None, categories: Collection[str] | None) -> bool:
        """Whether `field_type` has to guess, because it depends on categories that were not exported."""
        certain = (*_TEXT_CLIENT_EVENTS, *_SMTP_SERVER_EVENTS)
        return categories is None and self.needs_categories(key) and not (event_name or "").startswith(certain)

    def field_type(self, key: str, event_name: str | None, categories: Collection[str] | None = None) -> FieldType:
        """The type that Dovecot gives the field `key` in events called `event_name`; unknown fields are strings.

        Args:
            key: of the field.
            event_name: None for an unnamed event.
            categories: of the event; None if they were not exported, so that the types of addresses are a guess.
        """
        override = self.overrides.get(key)
        if override is not None:
            return override
        name = event_name or ""
        if key == "ip" or key.endswith("_ip"):
            return "str" if _is_text_address(key, name, categories) else "ip"
        if key.endswith("_time"):
            return "timestamp"
        if key in _STRLIST_FIELDS:
            return "strlist"
        if key in _INT_FIELDS or key.endswith(_INT_SUFFIXES):
            return self._integer_or_string(key, name)
        return "str"

    @staticmethod
    def _integer_or_string(key: str, name: str) -> FieldType:
        if name.startswith(_STRING_IN_EVENTS.get(key, ())):
            return "str"
        only_in = _INT_ONLY_IN_EVENTS.get(key)
        return "str" if only_in is not None and not name.startswith(only_in) else "int"

    def recover(
        self, key: str, text: str, event_name: str | None, categories: Collection[str] | None = None
    ) -> str | IPAddress | Timestamp:
        """The value that the string `text` of a JSON export stands for: itself, an address or a timestamp."""
        kind = self.field_type(key, event_name, categories)
        if kind == "ip" and canonical_ip(text):
            return IPAddress(text)
        if kind == "timestamp":
            usec = parse_rfc3339(text)
            return text if usec is None else Timestamp(usec)
        return text


def _is_text_address(key: str, name: str, categories: Collection[str] | None) -> bool:
    """Whether this address is stored as text in events of this name and these categories."""
    if key in _SERVER_ADDRESSES:
        return name.startswith(_TEXT_SERVER_EVENTS)
    if key not in _CLIENT_ADDRESSES:
        return False
    if categories is None:
        return name.startswith((*_TEXT_CLIENT_EVENTS, *_PROBABLE_SMTP_SERVER_EVENTS))
    return name.startswith(_TEXT_CLIENT_EVENTS) or any(each in categories for each in _TEXT_CLIENT_CATEGORIES)


def parse_int64(text: str) -> int | None:
    """The integer that `text` is the canonical decimal text of, if it fits in signed 64 bits."""
    if not _INT.fullmatch(text) or text == "-0":
        return None
    number = int(text)
    return number if INT64_MIN <= number <= INT64_MAX else None


CATALOGUE: Final = Catalogue()
