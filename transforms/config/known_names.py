"""Names that others define: built-in groups, other parts of Dovecot, later versions; and suggestions for misspellings.

dovebeam knows its own settings exactly and the other settings of Dovecot only by their first word, which is enough to
tell a setting of Dovecot from a misspelled one of event export.
"""

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
# In the order of Dovecot's message, which lists 0.0.0, the version of git builds, last.
SUPPORTED_VERSIONS: Final = ("2.4.0", "2.4.1", "2.4.2", "2.4.3", "2.4.4", "0.0.0")
# The group got its metric of proxy sessions with configuration version 2.4.2.
_BEFORE_SESSION_METRICS: Final = frozenset({"2.4.0", "2.4.1"})

# None of these metrics has an exporter of its own. They are exported if metric_exporter is set globally, or if a
# configuration opens one of them again with an exporter.
_AUTH_METRICS: Final = """
metric auth_successes {
  filter = event=auth_request_finished AND success=yes
}
metric auth_failures {
  filter = event=auth_request_finished AND NOT success=yes
}
"""
_SESSION_METRICS: Final = """
metric proxy_session_established {
  filter = event=proxy_session_established
}
"""
_PROXY_METRICS: Final = """
metric login_aborted {
  filter = event=login_aborted
  group_by reason {
  }
}
"""
_BACKEND_METRICS: Final = """
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
    """Definition of Dovecot's own groups as a configuration, for one `dovecot_config_version`."""
    sessions = "" if config_version in _BEFORE_SESSION_METRICS else _SESSION_METRICS
    return (
        f"group @metric_defaults proxy {{{_AUTH_METRICS}{_PROXY_METRICS}{sessions}}}\n"
        f"group @metric_defaults backend {{{_AUTH_METRICS}{_BACKEND_METRICS}}}\n"
    )


# Other parts of Dovecot. From its published list of settings, without the first words of event export's own settings.

CONNECTION_BLOCKS: Final = frozenset({"protocol", "local", "local_name", "remote"})
"""Blocks that say for which connections their settings hold."""

BUILT_IN_LABELS: Final = frozenset({"metric_defaults", "mailbox_defaults", "acl_rule_set"})
"""Labels of groups that Dovecot brings along, or that its documentation defines outside event export."""

_OTHER_FIRST_WORDS: Final = frozenset(
    """
    acl antispam apparmor auth cassandra cdb charset compress crypt deliver dict director dns doveadm dovecot dsync
    execute first fs fts haproxy imap imapc imapsieve import language last lazy lda ldap libexec lmtp login lua mail
    mailbox maildir managesieve mbox mdbox metacache mysql namespace notify oauth2 obox obox2 passdb passwd pgsql pop3
    pop3c push quota raw rawlog recipient redis rejection replication replicator sdbox sendmail service shared sieve
    solr sql sqlite ssl stats submission syslog textcat trash userdb virtual welcome xaps zlib
    """.split()
)
_OTHER_BLOCKS: Final = frozenset(
    """
    acl dict execute fifo_listener fs fts inet_listener language ldap lua mailbox mysql namespace oauth2 passdb pgsql
    quota rights service sieve_script sqlite submission unix_listener userdb
    """.split()
)
_OTHER_SETTINGS: Final = frozenset(
    """
    base_dir cache_key debug_log_path default_client_limit default_idle_kill_interval default_internal_group
    default_internal_user default_login_user default_process_limit default_vsz_limit dotlock_use_excl hostname
    import_environment info_log_path instance_name listen lock_method log_core_filter log_debug log_path log_timestamp
    mmap_disable postmaster_address process_shutdown_filter protocols shutdown_clients ssl state_dir valid_chroot_dirs
    verbose_proctitle verbose_ssl version_ignore
    """.split()
)
_OTHER_PREFIXES: Final = ("http_server_", "inet_listener_", "unix_listener_", "fifo_listener_")


def is_other_part(name: str) -> bool:
    """Whether a setting or block of this name belongs to another part of Dovecot, as far as its name tells."""
    first, underscore, _ = name.partition("_")
    return (
        (bool(underscore) and first in _OTHER_FIRST_WORDS)
        or name in _OTHER_BLOCKS
        or name in _OTHER_SETTINGS
        or name in CONNECTION_BLOCKS
        or name.startswith(_OTHER_PREFIXES)
    )


# Suggestions. Dovecot has hundreds of names that event export does not know, and some are like ours. So a name is a
# near miss only if nine tenths of both agree, or if they differ by one letter (added, missing, replaced or swapped with
# its neighbour). Case and dashes do not count.

# Comparing takes time with the square of the length; no setting has so long a name.
_MAX_NAME_CHARS: Final = 80
_MIN_RATIO: Final = 0.9


def near_miss(name: str, known: Iterable[str]) -> str:
    """Nearest of the known names, or an empty string if none is near."""
    if len(name) > _MAX_NAME_CHARS:
        return ""
    plain = name.lower().replace("-", "_")
    near = closest_name(plain, known)
    return near if near and _is_near(plain, near) else ""


def did_you_mean(name: str) -> str:
    """Suggestion as a question; empty for an empty name."""
    return f"did you mean '{name}'?" if name else ""


def _is_near(one: str, other: str) -> bool:
    # In the order of get_close_matches, which found the name: a ratio depends on which of both is first.
    ratio = difflib.SequenceMatcher(None, other, one).ratio()
    chars = len(one) + len(other)
    # Letters that do not match, in both names together: a replaced letter counts in both, an added one in one of them.
    has_one_edit = chars * (1 - ratio) < 2.5 and abs(len(one) - len(other)) <= 1
    return ratio >= _MIN_RATIO or has_one_edit


# Later versions of Dovecot: one policy for every closed list of the reader, see `Later`.

_VERSION_NUMBER = re.compile(r"2\.([0-9]{1,4})\.([0-9]{1,4})")

# Anything else is not a name at all, but a value or a piece of one.
_LATER_WORD = re.compile(r"[a-z][a-z0-9_\-]{1,60}")

_LATER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opentelemetry": "2.4.6",
        "protobuf": "2.4.6",
        "metric_export_sample_by": "2.4.6",
        "export_sample_by": "2.4.6",
    }
)
"""Drivers, formats and settings of later versions, with the first one that has them."""

_LATER_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {"event_exporter_opentelemetry": "2.4.6", "opentelemetry_": "2.4.6", "metric_export_sample_": "2.4.6"}
)
_LATER_FILTER_KEYS: Final[Mapping[str, str]] = MappingProxyType({"log_level": "2.4.6"})


def _numbers(version: str) -> tuple[int, int]:
    found = _VERSION_NUMBER.fullmatch(version)
    # Versions of git builds (0.0.0) and texts that are not versions are older than all others: never newer.
    return (int(found[1]), int(found[2])) if found else (0, 0)


_NEWEST_SUPPORTED: Final = max(_numbers(version) for version in SUPPORTED_VERSIONS)


def is_newer(version: str) -> bool:
    """Whether this is a version of Dovecot 2 after those that dovebeam knows."""
    return _numbers(version) > _NEWEST_SUPPORTED


def later_filter_key(keys: Iterable[str]) -> str:
    """Message about the first key of a filter that means something else in a later Dovecot; empty if none does."""
    for key in keys:
        if key in _LATER_FILTER_KEYS:
            since = _LATER_FILTER_KEYS[key]
            return f"'{key}' in a filter belongs to Dovecot {since}, where it is not a field of the event"
    return ""


def is_announced(name: str) -> bool:
    """Whether a name is one that Dovecot has announced for a later version."""
    return name in _LATER_NAMES


@dataclass(frozen=True, slots=True)
class Later:
    """Policy for names that a later Dovecot may have; `version` is the one that the configuration states.

    A name belongs to a later Dovecot, and is not a mistake, if Dovecot has announced or released it after the versions
    that dovebeam knows, whatever version the configuration states; or if the configuration states a newer version and
    no name that dovebeam knows is similar.

    Every other unknown name is an error, with the nearest known name. An exporter or a metric that needs a later
    Dovecot cannot be exported faithfully: it is left out with a warning, or is an error with `strict`.
    """

    version: str

    def about(self, name: str, known: Iterable[str]) -> str:
        """Origin of an unknown name, to follow the name in a message; empty if it is a mistake.

        Args:
            name: a name that is not in any of the lists.
            known: names that it could be a misspelling of.
        """
        if not _LATER_WORD.fullmatch(name):
            return ""
        # Announced names first: they are certain, whatever version is stated.
        since = _LATER_NAMES.get(name) or next(
            (v for start, v in _LATER_PREFIXES.items() if name.startswith(start)), ""
        )
        if since:
            return f"belongs to Dovecot {since}, which this dovebeam does not know"
        if is_newer(self.version) and not near_miss(name, known):
            return f"may belong to Dovecot {self.version}, which this dovebeam does not know"
        return ""
