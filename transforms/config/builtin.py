"""The groups of metrics that Dovecot brings along: `@metric_defaults = proxy` and `= backend`.

Rules from Dovecot's configuration language, section "Groups". None of their metrics has an exporter, so they matter if
`metric_exporter` is set at the top level or if an operator opens one of them again.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BUILT_IN_PATH", "SUPPORTED_VERSIONS", "built_in_groups"]

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
