"""The events in lines that Dovecot has glued together.

Dovecot's unix driver drops what does not fit into its buffer, silently: of one event the end is missing, also its line
feed, and the next event that fits follows at once. So what stands at the end of such a line is a whole event, and what
stands before it is a piece. If only the line feed was dropped, both are whole, which JSON shows and tab-text does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dovebeam.transforms.codecs import decode_json, decode_tab
from dovebeam.transforms.errors import DecodeError

__all__ = ["separated"]

_NOT_JSON: Final = re.compile(rb"^[^{]", re.MULTILINE)

# Where an event may begin within a line: at one of the members that can be its first, in Dovecot's order.
_JSON_BEGIN: Final = re.compile(rb'(?<=[^\n])(?=\{"(?:event|hostname|start_time|categories|fields)":)')
# In tab-text it is the part that is first in this line, too. What always follows that one must follow it, since the
# text of a field may be anything without a tab.
_TAB_BEGINS: Final = {
    b"event:": re.compile(rb"(?<=[^\n])(?=event:[^\t\n:]*\t(?:hostname:|start_time:|category:))"),
    b"hostname:": re.compile(rb"(?<=[^\n])(?=hostname:[^\t\n]*\tstart_time:)"),
    b"start_time:": re.compile(rb"(?<=[^\n])(?=start_time:[^\t\n]*\tend_time:)"),
}
_MAX_TRIES: Final = 32  # of a line: so many are never glued together, and each costs a look at its whole text


def separated(lines: bytes) -> tuple[bytes, list[bytes]]:
    """The whole events of lines, each with its end, and the pieces that were glued to them.

    A line that does not begin as an event does, or of which no end is one, stays as it is; whoever reads it says what
    is wrong with it.
    """
    if not _JSON_BEGIN.search(lines) and not _NOT_JSON.search(lines):
        return lines, []
    whole: list[bytes] = []
    pieces: list[bytes] = []
    for line in _lines(lines):
        _separate(line, whole, pieces)
    return b"".join(whole), pieces


def _separate(line: bytes, whole: list[bytes], pieces: list[bytes]) -> None:
    rest, events = line, list[bytes]()
    if line.startswith(b"{"):
        if _JSON_BEGIN.search(line) and not _is_event(line, decode_json):
            rest, events = _cut_off_events(line, _JSON_BEGIN, decode_json)
            if events and _is_event(rest, decode_json):
                rest, events = b"", [rest + b"\n", *events]
    elif begin := _tab_begin(line):
        rest, events = _cut_off_events(line, begin, decode_tab, most=1)
    whole += events or [line]
    if events and rest:
        pieces.append(rest + b"\n")


def _tab_begin(line: bytes) -> re.Pattern[bytes] | None:
    """What may begin an event within a line of tab-text; of the first part of the line there may be one byte only."""
    for head, begin in _TAB_BEGINS.items():
        if line.startswith(head) or begin.search(line):
            return begin if line[:1] == head[:1] else None
    return None


def _cut_off_events(
    line: bytes, begin: re.Pattern[bytes], decode: Callable[[bytes], object], most: int = _MAX_TRIES
) -> tuple[bytes, list[bytes]]:
    """What is left of a line without the whole events at its end, and those, each with a line's end."""
    events: list[bytes] = []
    rest = line
    for found in list(begin.finditer(line))[: -_MAX_TRIES - 1 : -1]:
        if len(events) < most and _is_event(rest[found.start() :], decode):
            events.insert(0, rest[found.start() :].removesuffix(b"\n") + b"\n")
            rest = rest[: found.start()]
    return rest, events


def _is_event(text: bytes, decode: Callable[[bytes], object]) -> bool:
    try:
        decode(text.removesuffix(b"\n"))
    except DecodeError:
        return False
    return True


def _lines(lines: bytes) -> list[bytes]:
    """Each with its end, which is a line feed and nothing else."""
    return [line + b"\n" for line in lines.split(b"\n")[:-1]]
