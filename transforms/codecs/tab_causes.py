"""Why a tab-text line is not an exported event although somebody meant it to be one, and how to repair it.

Syslog daemons escape control characters (rsyslog: `#011`), editors and terminals make blanks of tabs, and log daemons
put a prefix before a line. Looked at only for lines that are not events.
"""

from __future__ import annotations

import re
from typing import Final

from dovebeam.transforms.codecs.names import LOST_TAB
from dovebeam.transforms.errors import DecodeError

__all__ = ["has_lost_part", "prefix_cause", "tab_cause", "with_tab_cause"]

_MAX_LINE_BYTES: Final = 1024 * 1024
_LOST_PART: Final = re.compile(rb"(?:#0?11|\\t|\\x09|\\011|\^I|%09|<TAB>|\s)(?:field|category|start_time|end_time):")
_MAX_PREFIX_BYTES: Final = 1024
_BEHIND_PREFIX: Final = re.compile(rb"\s(event|hostname|start_time):")
_SED_SPECIAL: Final = re.compile(r"[\\^]")


def with_tab_cause(error: DecodeError, line: bytes) -> DecodeError:
    """The error with its probable cause, if one is found."""
    cause = tab_cause(line)
    return DecodeError(f"{error.reason}; {cause}", error.offset) if cause else error


def has_lost_part(line: bytes) -> bool:
    """Whether a line of one part looks like several whose tabs were lost."""
    return _LOST_PART.search(line) is not None


def tab_cause(line: bytes) -> str:
    """Why a line, read as tab-text, is probably not an event, and the repair; empty if no cause is known."""
    if len(line) > _MAX_LINE_BYTES:
        return ""
    if line.lstrip().startswith((b"{", b"[")):
        return "the line seems to be JSON (--input_format json)"
    if b"\t" in line:
        return prefix_cause(line)
    return _lost_tabs(line.decode("utf-8", "surrogateescape"))


def prefix_cause(line: bytes) -> str:
    """That something stands before the event of a tab-text line, as a log daemon writes it; empty if nothing does."""
    found = _BEHIND_PREFIX.search(line, 0, _MAX_PREFIX_BYTES)
    if found is None or b"\t" not in line[found.end() :]:
        return ""
    kind = found[1].decode()
    return f"{found.start(1)} bytes stand before the event, such as a syslog prefix: sed 's/^.* {kind}:/{kind}:/'"


def _lost_tabs(line: str) -> str:
    """What stands where the tabs between the parts of a line were."""
    found = LOST_TAB.search(line, line.find(":") + 1)
    if found is None:
        return ""
    instead = found[1] or found[2] or ""
    if not instead.strip():
        what = "blanks stand" if instead else "nothing stands"
        return f"its tabs were lost on the way, {what} in their place: keep them, or export with format = json"
    escaped = _SED_SPECIAL.sub(r"\\\g<0>", instead)
    return (
        f"its tabs were lost on the way, {instead} stands in their place: sed 's/{escaped}/\\t/g' "
        '(rsyslog keeps tabs with global(parser.escapeControlCharactersOnReceive="off"))'
    )
