"""Shared parts of the line codecs: decoded blocks, the limit on a line, names of events, typed events, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from itertools import accumulate
from operator import attrgetter
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from msgspec import UNSET

from dovebeam.transforms.errors import DecodeError
from dovebeam.transforms.events.catalogue import Catalogue
from dovebeam.transforms.events.event import Event

__all__ = [
    "DEFAULT_MAX_LINE_BYTES",
    "LOST_TAB",
    "NOT_A_NAME",
    "UNEXPECTED",
    "BadLine",
    "DecodedBlock",
    "all_possible",
    "check_line_length",
    "decode_one_by_one",
    "is_possible_name",
    "line_starts",
    "name_of",
    "only_decode_errors",
    "typed_event",
    "typed_fields",
]


class BadLine(NamedTuple):
    """A line of a block that is not an event: its offset in the block, its bytes and the error."""

    offset: int
    line: bytes
    error: DecodeError


class DecodedBlock:
    """The events of a block in order, and apart from them the lines that are not events.

    Attributes:
        events: in the order of their lines.
        bad_lines: in the order of the block.
    """

    __slots__ = ("_offsets", "bad_lines", "events")

    def __init__(
        self, events: Sequence[Event], bad_lines: Sequence[BadLine], offsets: Callable[[], Sequence[int]]
    ) -> None:
        self.events = events
        self.bad_lines = bad_lines
        self._offsets = offsets

    def offsets(self) -> Sequence[int]:
        """Offsets in the block of the line of each event; computed at each call, since few callers need them."""
        return self._offsets()


def line_starts(block: bytes, borders: Sequence[int]) -> list[int]:
    """Offsets of the lines of a block; `borders` are the offsets of its LFs after every CRLF has become an LF."""
    if 0x0D not in block:
        return [0, *(border + 1 for border in borders)]
    lengths = (len(line) + 1 for line in block.removesuffix(b"\n").split(b"\n"))
    return list(accumulate(lengths, initial=0))[:-1]


def decode_one_by_one(block: bytes, decode: Callable[[bytes], Event]) -> DecodedBlock:
    """Decodes each line of a block (LF or CRLF) by itself; blank lines are skipped."""
    events: list[Event] = []
    offsets: list[int] = []
    bad_lines: list[BadLine] = []
    offset = 0
    # Only at LF: splitlines() also splits at 0x0B, 0x0C and others, which stand raw in tab-text ("Parsing back").
    for whole in block.split(b"\n"):
        line = whole.removesuffix(b"\r")
        if line.strip(b" \t\r"):
            try:
                events.append(decode(line))
                offsets.append(offset)
            except DecodeError as error:
                bad_lines.append(BadLine(offset, line, error))
        offset += len(whole) + 1
    return DecodedBlock(events, bad_lines, lambda: offsets)


# Names that an event of Dovecot can have, so that a foreign line is not taken for an event that no metric wants.
#
# Names are fixed in Dovecot's code and in that of its plugins: one word, `imap_command_finished`. Refused are only
# control characters, white space and the rest of a tab-text line whose tabs were lost on the way.

NOT_A_NAME: Final = (
    "this cannot be the name of an event, which is one word without white space or control characters, such as "
    "imap_command_finished"
)
"""Reason of a reject; without the name, so that all rejects of this kind are counted together."""

name_of: Final = attrgetter("raw_name")

# Dovecot has some 150 names of up to 50 characters; data may contain any number of any length.
_MAX_REMEMBERED: Final = 4096
_MAX_REMEMBERED_CHARS: Final = 200
# Raw names found possible; UNSET is that of unnamed events.
_possible: set[Any] = {UNSET}

_NOT_IN_A_NAME: Final = re.compile(r"[\x00-\x20\x7f-\xa0]|\s")

# What log daemons put in place of a tab: rsyslog's and others' escapes, or nothing at all, before the next part's kind.
_ESCAPED_TAB: Final = r"#0?11|\\t|\\x09|\\u0009|\\011|\^I|%09|<TAB>"
_KIND: Final = r"(?:hostname|start_time|end_time|category|field):"
LOST_TAB: Final = re.compile(rf"({_ESCAPED_TAB}|\s?)(?:{_KIND})|(#0?11)")
"""A lost tab in the name of an event, a host or a category, none of which holds such text.

The groups are the text in place of the tab."""


def is_possible_name(name: str) -> bool:
    """Whether some event of Dovecot or of a plugin could have this name; the empty name counts."""
    return _NOT_IN_A_NAME.search(name) is None and LOST_TAB.search(name) is None


def all_possible(names: set[Any]) -> bool:
    """Whether all of these raw names are possible; `UNSET`, of unnamed events, is."""
    unknown = names - _possible
    for name in unknown:
        if not is_possible_name(name):
            return False
    # A name is checked once in a process, since the same few come in every block.
    if len(_possible) < _MAX_REMEMBERED:
        _possible.update(name for name in unknown if len(name) <= _MAX_REMEMBERED_CHARS)
    return True


# The longest line that a codec reads, so that no input can take unbounded memory.

DEFAULT_MAX_LINE_BYTES: Final = 16 * 1024 * 1024  # the longest real event seen has 7 KiB


def check_line_length(line: bytes, max_bytes: int) -> None:
    """Raises DecodeError, placed at the first byte too many, for a line of more than `max_bytes` bytes."""
    if len(line) > max_bytes:
        raise DecodeError(f"the line has {len(line)} bytes, more than the limit of {max_bytes}", max_bytes)


# Events with recovered types.


def typed_fields(
    fields: Mapping[str, Any], event_name: str | None, categories: Collection[str] | None, catalogue: Catalogue
) -> dict[str, Any]:
    """Fields with every string that stands for an address or a timestamp turned into one."""
    recover, is_candidate = catalogue.recover, catalogue.is_candidate
    return {
        key: recover(key, value, event_name, categories) if type(value) is str and is_candidate(key) else value
        for key, value in fields.items()
    }


def typed_event(members: Mapping[str, Any], catalogue: Catalogue) -> Event:
    """Builds an event from its members (named as in Dovecot's json format, times in microseconds)."""
    name = members.get("event", UNSET)
    fields = members.get("fields", UNSET)
    categories = members.get("categories", UNSET)
    known_name, known_categories = (None if part is UNSET else part for part in (name, categories))
    return Event(
        name,
        members.get("hostname", UNSET),
        members.get("start_time", UNSET),
        members.get("end_time", UNSET),
        categories,
        UNSET if fields is UNSET else typed_fields(fields, known_name, known_categories, catalogue),
    )


# Guard of the decoders: every exception that an input can cause becomes a DecodeError.
#
# One line that raises anything else would fail its bundle at each retry: an export ends, a stream never gets past it.
# No input is known to need this; the fuzzer counts `UNEXPECTED` in a reason as a finding.

UNEXPECTED: Final = "dovebeam cannot decode this, and should say why"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def only_decode_errors(decode: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Wraps a decoder so that it raises nothing but DecodeError, and MemoryError, which is about the machine."""

    @wraps(decode)
    def decode_or_refuse(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return decode(*args, **kwargs)
        except (DecodeError, MemoryError):
            raise
        except Exception as error:
            raise DecodeError(f"{UNEXPECTED} (please report it): {type(error).__name__}: {error}") from error

    return decode_or_refuse
