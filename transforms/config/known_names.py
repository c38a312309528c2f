"""Names that others define: groups that Dovecot brings along, its other parts, later versions; and suggestions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dovebeam.transforms.errors import closest_name

__all__ = [
    "BUILT_IN_LABELS",
    "BUILT_IN_PATH",
    "CONNECTION_BLOCKS",
    "SUPPORTED_VERSIONS",
    "Later",
    "built_in_groups",
    "did_you_mean",
    "is_announced",
    "is_newer",
    "is_other_part",
    "later_filter_key",
    "near_miss",
]


BUILT_IN_PATH: Final = "(built into Dovecot)"
SUPPORTED_VERSIONS: Final = ("2.4.0", "2.4.1", "2.4.2", "2.4.3", "2.4.4", "0.0.0")
_BEFORE_SESSIONS: Final = frozenset({"2.4.0", "2.4.1"})

_AUTH: Final = """
metric auth_successes {
  filter = event=auth_request_finished AND success=yes
}
metric auth_failures {
  filter = event=auth_request_finished AND NOT success=yes
}
"""
_SESSIONS: Final = """
metric proxy_session_established {
  filter = event=proxy_session_established
}
"""
_PROXY: Final = """
metric login_aborted {
  filter = event=login_aborted
  group_by reason {
  }
}
"""
_BACKEND: Final = """
metric imap_commands {
  filter = event=imap_command_finished
  group_by tagged_reply_state {
  }
}
metric mail_deliveries {
  filter = event=mail_delivery_finished
}
metric mail_submissions {
  filter = event=smtp_submit_finished
}
metric mail_user_session_finished {
  filter = event=mail_user_session_finished
  fields = rss utime
}
"""


def built_in_groups(config_version: str) -> str:
    """Their definition as a configuration, for one `dovecot_config_version`."""
    sessions = "" if config_version in _BEFORE_SESSIONS else _SESSIONS
    return (
        f"group @metric_defaults proxy {{{_AUTH}{_PROXY}{sessions}}}\n"
        f"group @metric_defaults backend {{{_AUTH}{_BACKEND}}}\n"
    )


# Names of settings and blocks that belong to other parts of Dovecot.
#
# dovebeam knows its own settings exactly and the others only by their first word, which is enough to tell a setting of
# Dovecot from a misspelt one of ours. Names from Dovecot's published list of settings, without the words that start
# ours.

CONNECTION_BLOCKS: Final = frozenset({"protocol", "local", "local_name", "remote"})
"""Blocks that say for which connections their settings hold."""

BUILT_IN_LABELS: Final = frozenset({"metric_defaults", "mailbox_defaults", "acl_rule_set"})
"""Labels of groups that Dovecot brings along, or that its documentation defines outside event export."""

_FIRST_WORDS: Final = frozenset(
    """
    acl antispam apparmor auth cassandra cdb charset compress crypt deliver dict director dns doveadm dovecot dsync
    execute first fs fts haproxy imap imapc imapsieve import language last lazy lda ldap libexec lmtp login lua mail
    mailbox maildir managesieve mbox mdbox metacache mysql namespace notify oauth2 obox obox2 passdb passwd pgsql pop3
    pop3c push quota raw rawlog recipient redis rejection replication replicator sdbox sendmail service shared sieve
    solr sql sqlite ssl stats submission syslog textcat trash userdb virtual welcome xaps zlib
    """.split()
)
_BLOCKS: Final = frozenset(
    """
    acl dict execute fifo_listener fs fts inet_listener language ldap lua mailbox mysql namespace oauth2 passdb pgsql
    quota rights service sieve_script sqlite submission unix_listener userdb
    """.split()
)
_EXACT: Final = frozenset(
    """
    base_dir cache_key debug_log_path default_client_limit default_idle_kill_interval default_internal_group
    default_internal_user default_login_user default_process_limit default_vsz_limit dotlock_use_excl hostname
    import_environment info_log_path instance_name listen lock_method log_core_filter log_debug log_path log_timestamp
    mmap_disable postmaster_address process_shutdown_filter protocols shutdown_clients ssl state_dir valid_chroot_dirs
    verbose_proctitle verbose_ssl version_ignore
    """.split()
)
_PREFIXES: Final = ("http_server_", "inet_listener_", "unix_listener_", "fifo_listener_")


def is_other_part(name: str) -> bool:
    """Whether a setting or block of this name belongs to another part of Dovecot, as far as its name tells."""
    first, underscore, _ = name.partition("_")
    return (
        (bool(underscore) and first in _FIRST_WORDS)
        or name in _BLOCKS
        or name in _EXACT
        or name in CONNECTION_BLOCKS
        or name.startswith(_PREFIXES)
    )


# Suggestions for misspelt names of a configuration.
#
# Dovecot has hundreds of names that event export does not know, and some are like ours. So a name is a near miss only
# if nine tenths of both agree, or if one letter was added, left out, replaced or swapped with its neighbour. Another
# case and dashes do not count.

_MAX_NAME_CHARS: Final = 80
_LIKENESS: Final = 0.9


def near_miss(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or an empty string if none is near."""
    if len(name) > _MAX_NAME_CHARS:
        return ""
    plain = name.lower().replace("-", "_")
    near = closest_name(plain, known)
    return near if near and _is_near(plain, near) else ""


def did_you_mean(name: str) -> str:
    """The question for a suggestion, an empty string without one."""
    return f"did you mean '{name}'?" if name else ""


def _is_near(one: str, other: str) -> bool:
    ratio = difflib.SequenceMatcher(None, other, one).ratio()
    chars = len(one) + len(other)
    has_one_edit = chars * (1 - ratio) < 2.5 and abs(len(one) - len(other)) <= 1  # a replaced letter counts in both
    return ratio >= _LIKENESS or has_one_edit


# What a later Dovecot has and this dovebeam does not know: one policy for every closed list of the reader.
#
# A name is of a later Dovecot, and not a mistake, in two cases:
#
# 1. It is in the table of what Dovecot has announced or released after the versions that dovebeam knows, whatever
# version the configuration states. 2. The configuration states a version that is newer than those, and no name that
# dovebeam knows is similar.
#
# Everything else that is not known is an error, with the nearest known name. An exporter or a metric with something of
# a later Dovecot cannot be done faithfully: it is left out with a warning, and everything else is done. With `strict`
# it is an error.

_VERSION = re.compile(r"2\.([0-9]{1,4})\.([0-9]{1,4})")

_WORD = re.compile(r"[a-z][a-z0-9_\-]{1,60}")

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opentelemetry": "2.4.6",
        "protobuf": "2.4.6",
        "metric_export_sample_by": "2.4.6",
        "export_sample_by": "2.4.6",
    }
)
"""Drivers, formats and settings of later versions, with the first one that has them."""

_BEGINNINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"event_exporter_opentelemetry": "2.4.6", "opentelemetry_": "2.4.6", "metric_export_sample_": "2.4.6"}
)
_FILTER_KEYS: Final[Mapping[str, str]] = MappingProxyType({"log_level": "2.4.6"})


def _numbers(version: str) -> tuple[int, int]:
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


_NEWEST: Final = max(_numbers(version) for version in SUPPORTED_VERSIONS)


def is_newer(version: str) -> bool:
    """Whether this is a version of Dovecot 2 after those that dovebeam knows."""
    return _numbers(version) > _NEWEST


def later_filter_key(keys: Iterable[str]) -> str:
    """What to say of the first key of a filter that means something else in a later Dovecot; empty if none does."""
    for key in keys:
        if key in _FILTER_KEYS:
            return f"'{key}' in a filter is of Dovecot {_FILTER_KEYS[key]}, where it is no field of the event"
    return ""


def is_announced(name: str) -> bool:
    """Whether a name is one that Dovecot has announced for a later version."""
    return name in _NAMES


@dataclass(frozen=True, slots=True)
class Later:
    """The policy for one configuration; `version` is what it states."""

    version: str

    def about(self, name: str, known: Iterable[str]) -> str:
        """Where an unknown name comes from, to follow the name in a message; empty if it is a mistake.

        Args:
            name: it is in none of the lists.
            known: what it could be a misspelling of.
        """
        if not _WORD.fullmatch(name):
            return ""
        since = _NAMES.get(name) or next((v for start, v in _BEGINNINGS.items() if name.startswith(start)), "")
        if since:
            return f"is of Dovecot {since}, which this dovebeam does not know"
        if is_newer(self.version) and not near_miss(name, known):
            return f"is perhaps of Dovecot {self.version}, which this dovebeam does not know"
        return ""
