"""Catalogue of Dovecot's names: events, fields and categories, the types of fields, and the names of version 2.3.

Exports hold no types, so they are recovered from the names of fields: all are strings but those listed here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN, IPAddress, Timestamp, canonical_ip, parse_rfc3339

__all__ = ["CATALOGUE", "FIELDS", "Catalogue", "FieldType", "Value", "parse_int64"]


FieldType = Literal["str", "int", "ip", "timestamp", "strlist"]
Value = str | int | Timestamp | IPAddress | list[str]

_INT: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")

# Dovecot names its counters by the unit, and plugins follow.
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
    """Types of fields by name, with `overrides` for fields that Dovecot itself does not have.

    Attributes:
        overrides: types by field name; they replace everything that is built in.
    """

    overrides: Mapping[str, FieldType] = field(default_factory=dict)

    def is_candidate(self, key: str) -> bool:
        """Whether strings of this field in a JSON export may stand for an address or a timestamp."""
        override = self.overrides.get(key)
        if override is not None:
            return override in ("ip", "timestamp")
        # Broader than `field_type`, and fast: filters ask for every field, and only candidates are looked at closely.
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
        # A text that is not exactly what Dovecot writes for the type was a string from the start.
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
    """The integer whose canonical decimal text is `text`; None for other texts and beyond signed 64 bits."""
    if not _INT.fullmatch(text) or text == "-0":
        return None
    number = int(text)
    return number if INT64_MIN <= number <= INT64_MAX else None


CATALOGUE: Final = Catalogue()


# Names of events, fields and categories, and their names in Dovecot 2.3.
#
# Collected from the source: every name that the code of Dovecot 2.4.0 to 2.4.4 and of the following development
# version gives to an event, a field of one or a category; the same of Pigeonhole 2.4 and of fts-flatcurve; and every
# name that real events were seen with. The renamed ones are from the source of 2.3. Some fields are made while Dovecot
# runs, from what a client or a configuration says: `FIELD_PREFIXES`, and whatever a passdb or userdb adds as
# `event_NAME`.

EVENTS: Final = frozenset(
    """
    auth_client_passdb_lookup_finished auth_client_passdb_lookup_started auth_client_request_challenged
    auth_client_request_continued auth_client_request_finished auth_client_request_started
    auth_client_userdb_list_finished auth_client_userdb_list_started auth_client_userdb_lookup_finished
    auth_client_userdb_lookup_started auth_master_client_login_finished auth_master_client_login_started
    auth_passdb_request_finished auth_passdb_request_started auth_policy_request_finished auth_request_finished
    auth_userdb_request_finished auth_userdb_request_started auth_worker_request_finished
    client_connection_connected client_connection_disconnected data_stack_grow dict_created dict_destroyed
    dict_increment_key dict_iteration_finished dict_iteration_started dict_lookup_finished
    dict_server_iteration_finished dict_server_lookup_finished dict_server_transaction_finished dict_set_key
    dict_set_timestamp dict_transaction_finished dict_transaction_started dict_unset_key dns_request_finished
    dns_request_started dns_worker_request_finished dns_worker_request_started fts_flatcurve_expunge
    fts_flatcurve_index fts_flatcurve_index_truncate fts_flatcurve_last_uid fts_flatcurve_optimize
    fts_flatcurve_query fts_flatcurve_rescan fts_flatcurve_rotate http_request_finished http_request_redirected
    http_request_retried http_server_request_finished http_server_request_started imap_client_hibernated
    imap_client_unhibernate_retried imap_client_unhibernated imap_command_finished imap_id_received
    indexer_worker_indexing_finished login_aborted mail_cache_corrupted mail_cache_decision_changed
    mail_cache_decision_rejected mail_cache_purge_drop_field mail_cache_purge_finished mail_cache_purge_started
    mail_cache_record_corrupted mail_delivery_finished mail_delivery_started mail_expunge_requested mail_expunged
    mail_index_recreated mail_metadata_accessed mail_opened mail_user_session_finished managesieve_command_finished
    pop3_command_finished proxy_session_established proxy_session_finished proxy_session_reconnecting
    proxy_session_started push_notification_finished push_notification_lua_call_finished server_connection_connected
    server_connection_disconnected sieve_action_finished sieve_runtime_script_finished sieve_runtime_script_started
    sieve_script_activated sieve_script_closed sieve_script_deleted sieve_script_opened sieve_script_renamed
    sieve_storage_deactivated sieve_storage_save_finished sieve_storage_save_started smtp_client_command_finished
    smtp_client_command_sent smtp_client_command_started smtp_client_transaction_finished
    smtp_client_transaction_rcpt_finished smtp_client_transaction_started smtp_server_command_finished
    smtp_server_command_started smtp_server_transaction_finished smtp_server_transaction_rcpt_finished
    smtp_server_transaction_started smtp_submit_finished smtp_submit_started sql_connection_finished
    sql_query_finished sql_transaction_finished
    """.split()
)

CATEGORIES: Final = frozenset(
    """
    acl auth auth-client cassandra dict dict-server dns dns-worker doveadm fs fts fts-flatcurve fts-solr http-client
    http-server http-server-resource imap imap-hibernate imap-urlauth imapc imapsieve indexer-worker lda lmtp
    local-delivery lua mail mail-cache mail-index mailbox maildir managesieve mbox mdbox mysql oauth2 pgsql pop3
    pop3c push-notification quota-status sasl-client sasl-server sdbox sieve sieve-action sieve-execute
    sieve-runtime sieve-storage smtp-client smtp-server smtp-submit sql sqlite sqlpool ssl ssl-client ssl-server
    storage submission
    """.split()
)
CATEGORY_PREFIXES: Final = ("service:",)

FIELDS: Final = frozenset(
    """
    action_name alloc_size attempts auth_attempts auth_successes auth_usecs auth_user backtrace backtrace_error
    binary_path cache cached certificate_user channel_binding client_id cmd_args cmd_human_args cmd_input_name
    cmd_name cmd_tag command command_id compile_errors compile_warnings connected_usecs connection_id consistency
    count data_sent data_size decision delay_ms dest_host dest_ip dest_port detail dict dict_driver dict_map
    dict_name disconnect_reason disconnect_side driver duration enhanced_code error error_code error_code_extended
    error_consistency event_exporter event_name expunged external field file_seq file_size fileinto_mailbox
    fileinto_mailbox_name first_uid frame_alloc_bytes frame_alloc_count frame_marker fs fts function_name
    hibernation_usecs host id idle_usecs imapsieve_from index inet_listener internal invol_cs is_reset key
    key_not_found language last_alloc_size last_block_size last_run_time last_uid last_used local_ip local_name
    local_port lock_wait_usecs login_user mail_age_days mail_from mail_from_raw mail_param_auth mail_param_body
    mail_param_envid mail_param_ret mail_param_size mailbox major_faults master_user max_uid maybe_uids mechanism
    message_count message_from message_id message_size message_subject message_vsize method metric metric_group_by
    metric_group_by_method minor_faults mode name namespace net_in_bytes net_out_bytes new_decision new_mailbox
    new_script_name notify_target old_decision old_mailbox old_script_name orig_size original_user passdb
    passdb_driver passdb_id path pipe_program policy_penalty policy_response policy_result port prev_deleted_records
    prev_file_seq prev_file_size protocol query query_first_word quota rchar rcpt_index rcpt_param_notify
    rcpt_param_orcpt rcpt_param_orcpt_type rcpt_to real_local_ip real_local_port real_remote_ip real_remote_port
    realm reason reason_code recipients recipients_aborted recipients_denied recipients_failed recipients_succeeded
    reconnect_attempts redirect_target redirects remote_gid remote_ip remote_pid remote_port remote_uid reply_state
    report_target report_type request_id result rollback rows rss running_usecs script script_location script_name
    script_size seq service session sieve_extlists_list sieve_script sieve_script_file_path slow_query socket_path
    source_ip source_port sql_driver ssl_client_cert_fp ssl_client_cert_pubkey_fp ssl_ja3_hash status status_code
    stime success syscr syscw tagged_reply tagged_reply_state target tls_cipher tls_cipher_bits tls_pfs tls_protocol
    transaction_id translated_user transport trusted txid uid uids used_size user user_cpu_usecs userdb
    userdb_driver userdb_id utime vol_cs vsz wchar write_uncertain
    """.split()
)
FIELD_PREFIXES: Final = ("id_param_", "http_hdr_")

RENAMED_EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auth_client_cache_flush_finished": "",
        "auth_client_cache_flush_started": "",
        "auth_client_request_continue": "auth_client_request_continued",
        "mail_cache_lookup_finished": "",
        "mail_delivery": "mail_delivery_finished",
        "push_notification": "push_notification_finished",
    }
)
"""Event names of 2.3 and their names today; empty if the event does not exist any more."""

RENAMED_CATEGORIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auth-master-client": "auth-client",
        "auth-master-client-login": "auth-client",
        "cydir": "",
        "director": "",
        "index": "mail-index",
        "mail-delivery": "local-delivery",
        "mail_delivery": "local-delivery",
        "push_notification": "push-notification",
    }
)

RENAMED_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "args": "cmd_args",
        "bytes_in": "net_in_bytes",
        "bytes_out": "net_out_bytes",
        "client_ip": "source_ip",
        "connect_finished_time": "",
        "credentials_scheme": "",
        "human_args": "cmd_human_args",
        "idle_secs": "idle_usecs",
        "ip": "dest_ip",
        "mech": "mechanism",
        "orig_user": "original_user",
        "original_username": "original_user",
        "passdb_name": "passdb",
        "tag": "cmd_tag",
        "translated_username": "translated_user",
        "userdb_name": "userdb",
        "username": "user",
    }
)

RENAMED_FIELDS_OF: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "auth_worker_": {"id": "command_id"},
        "dict_": {"driver": "dict_driver"},
        "imap_command_": {"name": "cmd_name"},
        "mail_expunge": {"name": "mailbox"},
        "mail_metadata_": {"name": "mailbox"},
        "mail_opened": {"name": "mailbox"},
        "pop3_command_": {"name": "cmd_name"},
        "smtp_client_command_": {"name": "cmd_name"},
        "smtp_server_command_": {"name": "cmd_name"},
        "sql_": {"driver": "sql_driver"},
    }
)
"""Fields renamed in some events only, by the beginning of the event's name; others still have the old name."""
