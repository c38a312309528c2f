"""Which names an event of Dovecot can have, so that a foreign line is not taken for an event that no metric wants.

Names are fixed in Dovecot's code and in that of its plugins: one word, `imap_command_finished`. Nothing but control
characters, white space and what is left of a tab-text line whose tabs were lost on the way is refused.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Any, Final

from msgspec import UNSET

__all__ = ["LOST_TAB", "NOT_A_NAME", "all_possible", "is_possible_name", "name_of"]

NOT_A_NAME: Final = (
    "this cannot be the name of an event, which is one word without white space or control characters, such as "
    "imap_command_finished"
)
"""The reason of a reject; without the name, so that all of a kind are counted together."""

name_of: Final = attrgetter("raw_name")

# Dovecot has some 150 names of up to 50 characters; data may contain any number of any length.
_MAX_REMEMBERED: Final = 4096
_MAX_REMEMBERED_CHARS: Final = 200
_possible: set[Any] = {UNSET}

_NOT_IN_A_NAME: Final = re.compile(r"[\x00-\x20\x7f-\xa0]|\s")

# What stands where tab-text had a tab: rsyslog's and others' escapes, or nothing at all, before the next part's kind.
_ESCAPED_TAB: Final = r"#0?11|\\t|\\x09|\\u0009|\\011|\^I|%09|<TAB>"
_KIND: Final = r"(?:hostname|start_time|end_time|category|field):"
LOST_TAB: Final = re.compile(rf"({_ESCAPED_TAB}|\s?)(?:{_KIND})|(#0?11)")
"""A lost tab in the name of an event, a host or a category; none of them holds such text. Groups: what stands there."""


def is_possible_name(name: str) -> bool:
    """Whether some event of Dovecot or of a plugin could have this name; the empty name counts."""
    return _NOT_IN_A_NAME.search(name) is None and LOST_TAB.search(name) is None


def all_possible(names: set[Any]) -> bool:
    """Whether all of these raw names are possible; `UNSET`, of unnamed events, is. Few names are looked at twice."""
    unknown = names - _possible
    for name in unknown:
        if not is_possible_name(name):
            return False
    if len(_possible) < _MAX_REMEMBERED:
        _possible.update(name for name in unknown if len(name) <= _MAX_REMEMBERED_CHARS)
    return True
