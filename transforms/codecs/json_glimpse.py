"""Looks at no more of JSON lines than filters need, so that only lines that match are decoded whole.

msgspec skips what a type does not name, several times faster than it decodes it. A line passes if it has an event's
members and no others, each of its type, a name that an event can have, and fields that fit where filters compare
them. The other fields are only checked for being JSON: whatever they hold, it was in an event that no filter wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypedDict, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dovebeam.transforms.codecs.json_block import object_borders
from dovebeam.transforms.codecs.json_shapes import UNFIT
from dovebeam.transforms.codecs.names import all_possible, name_of
from dovebeam.transforms.events.event import AwareTime, Event, ExportedEvent
from dovebeam.transforms.events.values import INT64_MAX, INT64_MIN
from dovebeam.transforms.values.timestamps import EXACT_SECONDS

__all__ = ["Glimpser", "Glimpses"]

_Value = str | Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | list[str]
# Unix times that a double holds exactly; the exact scanner decides on others.
_Time = AwareTime | Annotated[float, Meta(ge=0, lt=EXACT_SECONDS)]


class _Skipped(msgspec.Struct, gc=False):
    """An object whose members nobody looks at."""


class Glimpses:
    """The lines of a block, each seen as far as filters look.

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
        """Some lines, without their ends."""
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
        """The lines of a block (LF only), or None if one of them is not what it should be, as far as is looked."""
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
    """An exported event of whose fields msgspec reads these and skips the others."""
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
