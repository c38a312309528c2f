"""`parse_filter`: a filter's text to a value that matches events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.analysis import OTHER, mentioned_names, mixes_keywords, outlook, requires_name
from dovebeam.transforms.filters.compiler import Step, compile_matcher, compile_steps
from dovebeam.transforms.filters.mismatches import FilterWarning, Mismatches
from dovebeam.transforms.filters.nodes import Comparison, Node, render
from dovebeam.transforms.filters.parser import parse_tree
from dovebeam.transforms.filters.verdicts import Verdict, judge

__all__ = ["Filter", "parse_filter"]


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """A parsed filter. Two are equal if their trees are; pickled, it is its text and is compiled again.

    Attributes:
        text: as it was given.
        root: the tree; None for the blank filter, which matches nothing.
        matches: whether an event matches. Never fails, except with TypeError for a field of a type that no Dovecot
            event has. Takes time linear in the length of the filter times the length of the values compared.
        unterminated: offset of a double quote that is never closed and so, in Dovecot, silently ends the filter; None
            if there is none. A filter where this makes a syntax error does not get this far.
    """

    text: str
    root: Node | None
    matches: Callable[[Event], bool]
    unterminated: int | None = None
    _steps: tuple[Step, ...] = ()
    _mismatches: Mismatches = field(default_factory=Mismatches)

    @property
    def warnings(self) -> tuple[FilterWarning, ...]:
        """What Dovecot would have warned about, for the events matched so far; once per comparison and kind."""
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
        """The names outside of which the filter never matches; None if it may match events of any name or of none."""
        if self.root is None:
            return frozenset()
        if outlook(self.root, OTHER).can_match:
            return None
        return mentioned_names(self.root)

    @cached_property
    def verdict(self) -> Verdict:
        """Certainties before any event is seen, such as that the filter can never match."""
        if self.root is None:
            return Verdict(can_match=False, can_fail=True, never_true=(), contradictions=())
        return judge(self.root)

    @property
    def mixed(self) -> bool:
        """Whether AND and OR stand beside each other without parentheses. They bind alike, from the left."""
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

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_filter, (self.text,)


def parse_filter(text: str) -> Filter:
    """Parses and compiles a filter, as it is after the configuration file's own quoting.

    Args:
        text: bytes that are not UTF-8 as surrogate escapes.

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
