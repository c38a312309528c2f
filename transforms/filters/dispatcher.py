"""Many filters against one event, without trying those that its name already rules out.

Rules from Dovecot's event filter language, "Unnamed events and the pre-check": the filters of a configuration share one
decision about unnamed events. How many filters there are does not matter to the cost as long as each begins with the
name, or does not need to look at a field before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.analysis import OTHER, mentioned_names, name_patterns, outlook
from dovebeam.transforms.filters.filter import Filter
from dovebeam.transforms.filters.nodes import Node

__all__ = ["Dispatcher", "accepts_unnamed"]

# Dovecot has some 150 event names of up to 50 characters; data may contain any number of any length.
_MAX_UNKNOWN_NAMES: Final = 4096
_MAX_NAME_CHARS: Final = 200

_Candidates = tuple[tuple[int, Callable[[Event], bool]], ...]


class _ByName(dict[str | UnsetType, _Candidates]):
    """What to try for a name, found when the name is first met."""

    def __init__(self, find: Callable[[str], _Candidates]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, name: str) -> _Candidates:
        return self._find(name)


class Dispatcher:
    """The filters of a configuration, or some of them.

    Args:
        filters: in the order of the configuration; blank ones match nothing.
        unnamed: whether unnamed events are looked at, as `accepts_unnamed` decides it for all filters of the
            configuration; None if `filters` are all of them.

    Attributes:
        candidates: by the `raw_name` of an event the filters that may match it, as pairs of index and closure; for
            loops that cannot afford a call of `matching`.
    """

    def __init__(self, filters: Iterable[Filter], unnamed: bool | None = None) -> None:
        self.filters: Final = tuple(filters)
        self.unnamed: Final = accepts_unnamed(self.filters) if unnamed is None else unnamed
        self._mentions: dict[str, set[int]] = {}
        self._general: set[int] = set()
        self._by_pattern: set[int] = set()
        for index, filter_ in enumerate(self.filters):
            if filter_.root is not None:
                self._add(index, filter_.root)
        self._others = self._candidates(self._general)
        for_unnamed = self._others if self.unnamed else ()
        self.candidates: Final = _ByName(self._for_name)
        self.candidates[UNSET] = for_unnamed

    def matching(self, event: Event) -> Sequence[int]:
        """The indexes of the filters that `event` matches, ascending."""
        return [index for index, matches in self.candidates[event.raw_name] if matches(event)]

    def __reduce__(self) -> tuple[Any, ...]:
        return Dispatcher, (self.filters, self.unnamed)

    def _add(self, index: int, root: Node) -> None:
        for name in mentioned_names(root):
            self._mentions.setdefault(name, set()).add(index)
        if _is_candidate(root, OTHER):
            self._general.add(index)
            if name_patterns(root):
                self._by_pattern.add(index)

    def _for_name(self, name: str) -> _Candidates:
        mentioned = self._mentions.get(name)
        if mentioned is None and (len(self.candidates) >= self._max_names or len(name) > _MAX_NAME_CHARS):
            return self._others
        undecided = self._by_pattern.union(mentioned or ())
        candidates = self._general.difference(undecided)
        candidates.update(index for index in undecided if _is_candidate(self.filters[index].root, name))
        self.candidates[name] = self._candidates(candidates)
        return self.candidates[name]

    @property
    def _max_names(self) -> int:
        return len(self._mentions) + _MAX_UNKNOWN_NAMES

    def _candidates(self, indexes: Iterable[int]) -> _Candidates:
        return tuple((index, self.filters[index].matches) for index in sorted(indexes))


def accepts_unnamed(filters: Iterable[Filter]) -> bool:
    """Whether unnamed events are looked at: if not all filters of a configuration require a name, blank ones aside."""
    return any(filter_.root is not None and not filter_.requires_name for filter_ in filters)


def _is_candidate(root: Node | None, name: str | Literal[False]) -> bool:
    """Whether evaluating the filter for an event of this name can come to anything: a match or a warning."""
    if root is None:
        return False
    what = outlook(root, name)
    return what.can_match or what.can_warn
