"""Parsed filters, one or many: `parse_filter` for one text, `Dispatcher` for all the filters of a configuration.

Rules from Dovecot's event filter language. A dispatcher looks at the name of an event first: how many filters there are
does not matter to the cost as long as each begins with the name, or does not need to look at a field before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from msgspec import UNSET, UnsetType

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.analysis import Verdict, analyse
from dovebeam.transforms.filters.comparisons import exact_name, may_warn
from dovebeam.transforms.filters.compiler import Step, compile_matcher, compile_steps
from dovebeam.transforms.filters.nodes import (
    AND,
    OR,
    And,
    Comparison,
    Node,
    Not,
    Or,
    comparisons,
    fold_tree,
    render,
    scan,
)
from dovebeam.transforms.filters.parser import parse_tree
from dovebeam.transforms.filters.reasons import FilterWarning, Mismatches
from dovebeam.transforms.filters.wildcards import compile_wildcard, has_wildcard

__all__ = ["OTHER", "Dispatcher", "Filter", "Outlook", "accepts_unnamed", "outlook", "parse_filter"]

_OPERATORS: Final = ("'='", "'<'", "'>'")
# Any name that no comparison of the filter mentions, or no name. It is not a str, so no event can be called so.
OTHER: Final = False

# Dovecot has some 150 event names of up to 50 characters; data may contain any number of any length.
_MAX_UNKNOWN_NAMES: Final = 4096
_MAX_NAME_CHARS: Final = 200


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """A parsed and compiled filter.

    Two filters are equal if their trees are equal. A filter is pickled as its text, and compiled again when it is
    unpickled.

    Attributes:
        text: the filter as it was given.
        root: the tree; None for the blank filter, which matches nothing.
        matches: whether an event matches. It never fails, except with TypeError for a field of a type that no Dovecot
            event has. Its time is linear in the length of the filter times the length of the compared values.
        unterminated: offset of a double quote that is never closed and so, in Dovecot, silently ends the filter; None
            if there is none. If this causes a syntax error, `parse_filter` raises it.
    """

    text: str
    root: Node | None
    matches: Callable[[Event], bool]
    unterminated: int | None = None
    _steps: tuple[Step, ...] = ()
    _mismatches: Mismatches = field(default_factory=Mismatches)

    @property
    def warnings(self) -> tuple[FilterWarning, ...]:
        """Dovecot's warnings for the events compared so far, one for each comparison and kind of warning."""
        return tuple(self._mismatches.records)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons in the order of their evaluation."""
        return tuple(step.comparison for step in self._steps)

    @cached_property
    def requires_name(self) -> bool:
        """Whether Dovecot counts this filter as one that unnamed events cannot match; False for the blank filter."""
        return self.root is not None and requires_name(self.root)

    @cached_property
    def event_names(self) -> frozenset[str] | None:
        """All event names that the filter can match; None if it may also match other events."""
        if self.root is None:
            return frozenset()
        if outlook(self.root, OTHER).can_match:
            return None
        return mentioned_names(self.root)

    @cached_property
    def verdict(self) -> Verdict:
        """Result of the static analysis, which holds for every event, such as that the filter never matches."""
        if self.root is None:
            return Verdict(can_match=False, can_fail=True, never_true=(), contradictions=())
        return analyse(self.root)

    @property
    def mixed(self) -> bool:
        """Whether AND and OR are mixed without parentheses; Dovecot evaluates them from left to right."""
        return self.root is not None and mixes_keywords(self.text)

    @property
    def explicit(self) -> str:
        """Canonical text with parentheses around each AND and OR inside another."""
        return "" if self.root is None else render(self.root, explicit=True)

    @cached_property
    def _canonical(self) -> str:
        return "" if self.root is None else render(self.root)

    def __str__(self) -> str:
        """Canonical text that parses to the same tree."""
        return self._canonical

    def __repr__(self) -> str:
        return f"parse_filter({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return self._canonical == other._canonical if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._canonical)

    # A compiled filter is made of closures, which do not pickle.
    def __reduce__(self) -> tuple[Any, ...]:
        return parse_filter, (self.text,)


def parse_filter(text: str) -> Filter:
    """Parses and compiles a filter.

    Args:
        text: the filter, without the quotes of the configuration file; bytes that are not UTF-8 are surrogate escapes.

    Raises:
        FilterSyntaxError: Dovecot refuses this filter.
    """
    root, unterminated = parse_tree(text)
    if root is None:
        return Filter(text, None, _matches_nothing, unterminated)
    mismatches = Mismatches()
    steps = compile_steps(root, mismatches)
    return Filter(text, root, compile_matcher(root, steps), unterminated, steps, mismatches)


def _matches_nothing(_: Event) -> bool:
    return False


# Many filters against one event, without trying those that its name already rules out.

_Candidates = tuple[tuple[int, Callable[[Event], bool]], ...]


class _ByName(dict[str | UnsetType, _Candidates]):
    """Candidates by the name of an event, found when the name is first met."""

    def __init__(self, find: Callable[[str], _Candidates]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, name: str) -> _Candidates:
        return self._find(name)


class Dispatcher:
    """Finds which filters of a configuration an event matches.

    Args:
        filters: in the order of the configuration; blank ones match nothing.
        unnamed: whether unnamed events are evaluated, as `accepts_unnamed` decides for all filters of the
            configuration; None if `filters` are all of them.

    Attributes:
        candidates: the filters that may match an event, by the event's `raw_name`, as pairs of index and closure; for
            loops in which a call of `matching` would be too slow.
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
        self.candidates[UNSET] = for_unnamed  # UNSET is the raw name of an unnamed event

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
        # A name that is not remembered costs no memory; the filters that take any name decide about it themselves.
        if mentioned is None and (len(self.candidates) >= self._max_names or len(name) > _MAX_NAME_CHARS):
            return self._others
        # Only filters that say something about names depend on this one; the decision on the others stands already.
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
    """Whether unnamed events are evaluated: if some filter of the configuration, blank ones aside, requires no name."""
    return any(filter_.root is not None and not filter_.requires_name for filter_ in filters)


# What the names of events decide before anything else of a filter is looked at.


class Outlook(NamedTuple):
    """Possible results of a filter for all the events of one name."""

    can_match: bool
    can_fail: bool
    can_warn: bool


def requires_name(root: Node) -> bool:
    """Whether Dovecot counts the filter as one that needs a name: `NOT event=x` does as well."""

    # "Unnamed events and the pre-check": an AND needs a name if one operand does, an OR only if all do, and a NOT does
    # not change it, although it makes `event=x` true for unnamed events.
    def combine(node: Node, operands: Sequence[bool]) -> bool:
        if isinstance(node, Comparison):
            return node.key == "event"
        return all(operands) if isinstance(node, Or) else any(operands)

    return fold_tree(root, combine)


def mentioned_names(root: Node) -> frozenset[str]:
    """Names that `event=` comparisons without wildcards ask for."""
    return frozenset(name for name in map(exact_name, comparisons(root)) if name is not None)


def name_patterns(root: Node) -> tuple[str, ...]:
    """Wildcard patterns of `event=` comparisons."""
    return tuple(node.value for node in comparisons(root) if node.key == "event" and has_wildcard(node.value))


def mixes_keywords(text: str) -> bool:
    """Whether AND and OR join operands of one pair of parentheses, or of the whole filter. `text` is a valid filter."""
    joined: list[str] = [""]  # the keyword seen in each pair of parentheses that is open, innermost last
    before = ""
    for token in scan(text):
        if token.kind == "'('":
            joined.append("")
        elif token.kind == "')'":
            joined.pop()
        elif token.kind in (AND, OR) and before not in _OPERATORS:  # after an operator it is a value
            if joined[-1] not in ("", token.kind):
                return True
            joined[-1] = token.kind
        before = token.kind
    return False


def outlook(root: Node, name: str | Literal[False]) -> Outlook:
    """Possible results for events called `name`, or for all `OTHER` ones, unnamed ones included."""

    def combine(node: Node, operands: Sequence[Outlook]) -> Outlook:
        if isinstance(node, Comparison):
            return _of_comparison(node, name)
        # NOT swaps the two results and leaves the warning: Dovecot warns while it evaluates what is below.
        if isinstance(node, Not):
            return Outlook(operands[0].can_fail, operands[0].can_match, operands[0].can_warn)
        return _of_chain(operands, continues_on_match=isinstance(node, And))

    return fold_tree(root, combine)


def _of_comparison(node: Comparison, name: str | Literal[False]) -> Outlook:
    if node.key != "event":
        return Outlook(can_match=True, can_fail=True, can_warn=may_warn(node))
    if not has_wildcard(node.value):
        result = exact_name(node) == name
    elif name is not OTHER:
        result = compile_wildcard(node.value, ignore_case=False)(name)
    else:
        return Outlook(can_match=True, can_fail=True, can_warn=False)
    return Outlook(can_match=result, can_fail=not result, can_warn=False)


def _of_chain(operands: Sequence[Outlook], *, continues_on_match: bool) -> Outlook:
    """AND goes on while operands match and ends with the first that fails; OR is the mirror image."""
    can_stop = can_warn = False
    for operand in operands:
        can_warn |= operand.can_warn
        stops, goes_on = (
            (operand.can_fail, operand.can_match) if continues_on_match else (operand.can_match, operand.can_fail)
        )
        can_stop |= stops
        # Every event that comes so far stops here, so the operands behind are never evaluated and never warn.
        if not goes_on:
            return Outlook(not continues_on_match, continues_on_match, can_warn)
    return Outlook(
        can_match=continues_on_match or can_stop,
        can_fail=not continues_on_match or can_stop,
        can_warn=can_warn,
    )


def _is_candidate(root: Node | None, name: str | Literal[False]) -> bool:
    """Whether the filter has to be evaluated for events of this name, because it may match or warn."""
    if root is None:
        return False
    possible = outlook(root, name)
    return possible.can_match or possible.can_warn
