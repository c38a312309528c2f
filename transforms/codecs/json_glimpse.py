"""Looks at no more of JSON lines than filters need, so that only lines that match are decoded whole.

msgspec skips what a type does not name, several times faster than it decodes it. What is skipped is only checked for
being JSON; what filters look at has its type checked. Whatever else a line may hold, it was one that no filter wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypedDict, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dovebeam.transforms.codecs.json_block import object_borders
from dovebeam.transforms.codecs.json_shapes import UNFIT
from dovebeam.transforms.event import Event, ExportedEvent
from dovebeam.transforms.values import INT64_MAX, INT64_MIN
from dovebeam.transforms.values.catalogue import CATALOGUE

__all__ = ["Glimpser", "Glimpses"]

_Value = str | Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | list[str]


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
    """Decodes the name, and of the rest what some filters need.

    Args:
        fields: the keys of the fields that filters compare.
        categories: whether filters compare categories; they are decoded as well if the type of a field depends on them.
    """

    def __init__(self, fields: Iterable[str], *, categories: bool) -> None:
        fields = sorted(fields)
        categories = categories or any(map(CATALOGUE.needs_categories, fields))
        self._decode: Final = msgspec.json.Decoder(_glimpse_type(fields, categories=categories)).decode_lines

    def glimpse(self, text: bytes) -> Glimpses | None:
        """The lines of a block (LF only), or None if one of them is not what it should be, as far as is looked."""
        borders = object_borders(text)
        if borders is None or not text:
            return None
        try:
            events = self._decode(text)
        except UNFIT:
            return None
        return Glimpses(text, borders, events) if len(events) == len(borders) + 1 else None


def _glimpse_type(fields: list[str], *, categories: bool) -> type[ExportedEvent]:
    """An exported event with members of other names where nobody looks, so that msgspec skips the real ones."""
    seen: dict[str, tuple[str, Any]] = {"raw_name": ("event", str)}
    if categories:
        seen["raw_categories"] = ("categories", list[str])
    if fields:
        seen["raw_fields"] = ("fields", TypedDict("Fields", dict.fromkeys(fields, _Value), total=False))  # type: ignore[operator]
    members = []
    for attribute in ("raw_name", "raw_hostname", "raw_start_time", "raw_end_time", "raw_categories", "raw_fields"):
        name, kind = seen.get(attribute, (f"-{attribute}", UnsetType))
        members.append((attribute, kind | UnsetType, msgspec.field(default=UNSET, name=name)))
    glimpse: Any = msgspec.defstruct(
        "Glimpse", members, bases=(ExportedEvent,), frozen=True, eq=False, gc=False, forbid_unknown_fields=False
    )
    return cast("type[ExportedEvent]", glimpse)
