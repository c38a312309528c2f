"""Names of settings and blocks that belong to other parts of Dovecot.

dovebeam knows its own settings exactly and the others only by their first word, which is enough to tell a setting of
Dovecot from a misspelt one of ours. Names from Dovecot's published list of settings, without the words that start ours.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BUILT_IN_LABELS", "CONNECTION_BLOCKS", "is_other_part"]

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
