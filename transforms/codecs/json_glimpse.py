"""Blocks of JSON lines, decoded by msgspec in one call: whole (`decode_json_block`), or only what filters look at.

The second way (`Glimpser`) lets an export decode only the lines that match. msgspec skips what a type does not name,
several times faster than it decodes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypedDict, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dovebeam.transforms.codecs.json_lines import COMPLETE, EXPORTED, UNFIT, UNIX, decode_json
from dovebeam.transforms.codecs.lines import (
    DEFAULT_MAX_LINE_BYTES,
    DecodedBlock,
    all_possible,
    decode_one_by_one,
    line_starts,
    name_of,
)
from dovebeam.transforms.codecs.tab_lines import TAB_PARTS, decode_tab
from dovebeam.transforms.events.event import AwareTime, Event, ExportedEvent
from dovebeam.transforms.events.values import EXACT_SECONDS, INT64_MAX, INT64_MIN

__all__ = ["Glimpser", "decode_json_block", "with_line_feeds"]


def decode_json_block(block: bytes, *, max_bytes: int = DEFAULT_MAX_LINE_BYTES, mixed: bool = True) -> DecodedBlock:
    """The events of whole lines (LF or CRLF, the last end may be missing), faster than one by one.

    Blank lines hold no event and are skipped. Every other line is in `events` or in `bad_lines`. Lines of tab-text
    among them are read as tab-text, unless `mixed` is false: a spool has what several of Dovecot's exporters sent.
    """

    def decode(line: bytes) -> Event:
        return (decode_tab if mixed and line.startswith(TAB_PARTS) else decode_json)(line, max_bytes=max_bytes)

    text = with_line_feeds(block)
    # In a block of at most max_bytes no line is longer, so the limit needs no look at each.
    borders = object_borders(text) if len(text) <= max_bytes else None
    if borders is None:
        return decode_one_by_one(block, decode)
    # One line of another shape sends the whole block to the next, and one that is not an event to the slow way.
    for shape in (COMPLETE, EXPORTED, UNIX):
        try:
            decoded = shape.decoder.decode_lines(text)
            if len(decoded) != len(borders) + 1 or _key_marks(text) != shape.count_keys(decoded):
                break
            events = shape.to_events(decoded)
        except UNFIT:
            continue
        if events is None or not all_possible(set(map(name_of, events))):
            break
        return DecodedBlock(events, [], lambda: line_starts(block, borders))
    return decode_one_by_one(block, decode)


def with_line_feeds(block: bytes) -> bytes:
    """The block with LF for CRLF; a CR cannot stand in a JSON string, so none is lost."""
    return block.replace(b"\r\n", b"\n") if 0x0D in block else block


def object_borders(text: bytes) -> list[int] | None:
    """The offsets of the LFs between the lines, or None if some line does not begin and end with a brace.

    msgspec takes any white space for the end of a line. But after a closing brace no object can open inside another, so
    none spans two such lines; and if there are as many objects as lines, which the caller checks, no line has two.
    """
    import numpy as np  # noqa: PLC0415  importing it costs more than all of dovebeam, and commands do without it

    if not text.startswith(b"{") or not text.endswith((b"}", b"}\n")):
        return None
    data = np.frombuffer(text, np.uint8)
    borders = np.flatnonzero(data == 0x0A)
    if text[-1] == 0x0A:
        borders = borders[:-1]
    if data.take(borders - 1).tobytes().strip(b"}") or data.take(borders + 1).tobytes().strip(b"{"):
        return None
    offsets: list[int] = borders.tolist()
    return offsets


def _key_marks(text: bytes) -> int:
    """Number of colons behind a quote or a space: at least the number of keys.

    It is more if a key is repeated or a string contains such a colon. Other white space before a colon gives -1; it
    cannot be in a string.
    """
    import numpy as np  # noqa: PLC0415

    if 0x09 in text or 0x0D in text:
        return -1
    data = np.frombuffer(text, np.uint8)
    # A quote is 0x22 and a space 0x20: without the bit between them both are 0x20.
    behind_mark = (data[:-1] & 0xFD) == 0x20
    return int(np.count_nonzero(behind_mark & (data[1:] == 0x3A)))


# Glimpses: a line passes if it has an event's members and no others, each of its type, a name that an event can have,
# and fields that fit where filters compare them. The other fields are only checked for being JSON: whatever they hold,
# it was in an event that no filter wants.

_Value = str | Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | list[str]
# Unix times that a double holds exactly; the exact scanner decides on others.
_Time = AwareTime | Annotated[float, Meta(ge=0, lt=EXACT_SECONDS)]


class _Skipped(msgspec.Struct, gc=False):
    """An object whose members are skipped."""


class Glimpses:
    """The lines of a block, each decoded as far as filters look.

    Attributes:
        events: one for each line, good for the filters that were asked about and for nothing else.
        borders: the offsets of the LFs between the lines.
    """

    __slots__ = ("_text", "borders", "events")

    def __init__(self, text: bytes, borders: Sequence[int], events: Sequence[Event]) -> None:
        self._text = text
        self.borders = borders
        self.events = events

    def start(self, index: int) -> int:
        """The offset of a line."""
        return self.borders[index - 1] + 1 if index else 0

    def lines(self, indexes: Iterable[int]) -> list[bytes]:
        """The lines with these indexes, without their ends."""
        ends = [*self.borders, len(self._text)]
        return [self._text[self.start(index) : ends[index]].removesuffix(b"\n") for index in indexes]


class Glimpser:
    """Decodes events without the fields that no filter needs.

    Args:
        fields: the keys of the fields that filters compare.
    """

    def __init__(self, fields: Iterable[str]) -> None:
        self._decode: Final = msgspec.json.Decoder(_glimpse_type(sorted(fields))).decode_lines

    def glimpse(self, text: bytes) -> Glimpses | None:
        """The lines of a block (LF only), or None if one of them does not pass; then the block is decoded whole."""
        borders = object_borders(text)
        if borders is None or not text:
            return None
        try:
            events = self._decode(text)
        except UNFIT:
            return None
        if len(events) != len(borders) + 1 or not all_possible(set(map(name_of, events))):
            return None
        return Glimpses(text, borders, events)


def _glimpse_type(fields: list[str]) -> type[ExportedEvent]:
    """A type of exported events of which msgspec reads these fields and skips the others."""
    compared: Any = TypedDict("Fields", dict.fromkeys(fields, _Value), total=False) if fields else _Skipped  # type: ignore[operator]
    members: list[tuple[str, Any, Any]] = []
    for attribute, name, kind in (
        ("raw_name", "event", str),
        ("raw_hostname", "hostname", str),
        ("raw_start_time", "start_time", _Time),
        ("raw_end_time", "end_time", _Time),
        ("raw_categories", "categories", list[str]),
        ("raw_fields", "fields", compared),
    ):
        members.append((attribute, kind | UnsetType, msgspec.field(default=UNSET, name=name)))
    glimpse: Any = msgspec.defstruct(
        "Glimpse", members, bases=(ExportedEvent,), frozen=True, eq=False, gc=False, forbid_unknown_fields=True
    )
    return cast("type[ExportedEvent]", glimpse)
