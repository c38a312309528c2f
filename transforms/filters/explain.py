"""Explanations of a filter: the result of each comparison for one event (`explain`), and counts over many (`Profile`).

Both walk the jump table of the compiler, so that they evaluate exactly the comparisons that matching evaluates.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from dovebeam.transforms.events.catalogue import Value as FieldValue
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import IPAddress, Timestamp, format_rfc3339
from dovebeam.transforms.filters.compiler import ACCEPT, REJECT, Step, compile_steps
from dovebeam.transforms.filters.filter import Filter
from dovebeam.transforms.filters.nodes import SPECIAL_KEYS, Comparison
from dovebeam.transforms.filters.reasons import AddressKind, FilterWarning, Mismatches, address_kind, address_note
from dovebeam.transforms.filters.values import Value, classify

__all__ = ["ComparisonCount", "Explanation", "Finding", "Profile", "explain", "value_text"]


Outcome = Literal["true", "false", "not evaluated"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one comparison for an event.

    Attributes:
        comparison: the comparison, with its offset in the filter.
        outcome: result of the comparison; `not evaluated` if the filter's result was clear before.
        wanted: the value of the comparison as the filter understands it; None for the keys `event`, `category` and
            `source_location`.
        found: what the event has: the field's value, its name, source location or list of categories and log level;
            None if it has nothing there.
        warning: Dovecot's warning if the types do not fit, else None.
        note: for a network: says that the event has the address as text, which never matches, or that the address's
            type is a guess; empty otherwise. Dovecot has no message for this.
    """

    comparison: Comparison
    outcome: Outcome
    wanted: Value | None
    found: FieldValue | None
    warning: FilterWarning | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of a filter for an event, with all its comparisons in the order of evaluation."""

    matched: bool
    findings: tuple[Finding, ...]


def explain(filter_: Filter, event: Event) -> Explanation:
    """Evaluates a filter for an event and records each comparison.

    The result is the same as that of `matches`; the filter's own `warnings` do not change.

    A whole configuration can skip unnamed events before it evaluates a filter (`Dispatcher`); that is not included.
    """
    if filter_.root is None:
        return Explanation(matched=False, findings=())
    # Compiled anew: the tests record warnings once, so those of the filter may already have used theirs up.
    mismatches = Mismatches()
    steps = compile_steps(filter_.root, mismatches)
    findings: dict[int, Finding] = {}
    index = 0
    while index >= 0:
        step = steps[index]
        warned = len(mismatches.records)
        result = step.test(event)
        warning = mismatches.records[-1] if len(mismatches.records) > warned else None
        findings[index] = _finding(step, "true" if result else "false", event, warning)
        index = step.on_true if result else step.on_false
    return Explanation(
        matched=index == ACCEPT,
        findings=tuple(
            findings.get(number) or _finding(step, "not evaluated", event, None) for number, step in enumerate(steps)
        ),
    )


def _finding(step: Step, outcome: Outcome, event: Event, warning: FilterWarning | None) -> Finding:
    comparison = step.comparison
    wanted = None if comparison.key in SPECIAL_KEYS else classify(comparison.value)
    kind = address_kind(comparison)
    note = "" if kind is None or outcome == "not evaluated" else address_note(comparison, kind(event))
    return Finding(comparison, outcome, wanted, found_value(comparison, event), warning, note)


def found_value(comparison: Comparison, event: Event) -> FieldValue | None:
    """Value of an event that a comparison looks at; None if it has nothing there."""
    match comparison.key:
        case "event":
            return event.name
        case "category":
            # `category=error` compares with the log level, so that is listed, too.
            return [*event.categories, *([event.log_type] if isinstance(event.log_type, str) else [])]
        case "source_location":
            return event.source
        case "duration":
            return event.duration
        case key:
            return event.get(key)


def value_text(value: FieldValue | None) -> str:
    """Text of a value for people."""
    match value:
        case None:
            return "nothing"
        case Timestamp(usec):
            return format_rfc3339(usec)
        case IPAddress(text):
            return text
        case list():
            return ", ".join(value) or "none"
        case _:
            return str(value)


# Counts over many events, which tell why a metric stays at zero.

_MAX_EXAMPLES: Final = 3
_MAX_EXAMPLE_CHARS: Final = 60


@dataclass(slots=True)
class ComparisonCount:
    """Results of one comparison over all events.

    Attributes:
        comparison: the comparison, with its offset in the filter.
        true: in how many events it held.
        false: in how many it did not; in the others it was not reached.
        misses: the first few different values for which it did not hold, as text; "nothing" where there was none.
        kinds: of a comparison with a network, how many values of each kind it met.
    """

    comparison: Comparison
    true: int = 0
    false: int = 0
    misses: dict[str, None] = field(default_factory=dict)
    kinds: Counter[AddressKind] = field(default_factory=Counter)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the types of the addresses that a network was compared with."""
        met = [(address_note(self.comparison, kind), count) for kind, count in self.kinds.items()]
        return tuple(f"{count:,} of {self.true + self.false:,} events: {note}" for note, count in met if note)


class Profile:
    """Evaluates a filter as matching does and counts; the filter's own `warnings` stay as they are.

    Attributes:
        events: how many events were evaluated.
        matched: how many of them the filter matched.
        counts: each comparison, in the order of evaluation.
    """

    def __init__(self, filter_: Filter) -> None:
        self._mismatches: Final = Mismatches()
        self._steps: Final = () if filter_.root is None else compile_steps(filter_.root, self._mismatches)
        self.events = 0
        self.matched = 0
        self.counts: Final = tuple(ComparisonCount(step.comparison) for step in self._steps)
        self._kinds: Final = tuple(address_kind(step.comparison) for step in self._steps)

    @property
    def warnings(self) -> tuple[FilterWarning, ...]:
        """Warnings of Dovecot for the events added so far; once per comparison and kind."""
        return tuple(self._mismatches.records)

    def add(self, event: Event) -> bool:
        """Evaluates the filter for one event and counts; True if it matches."""
        self.events += 1
        index = 0 if self._steps else REJECT  # the blank filter matches nothing
        while index >= 0:
            step, count, kind_of = self._steps[index], self.counts[index], self._kinds[index]
            kind = None if kind_of is None else kind_of(event)
            if kind is not None:
                count.kinds[kind] += 1
            if step.test(event):
                count.true += 1
                index = step.on_true
            else:
                count.false += 1
                _note(count, step, event)
                index = step.on_false
        self.matched += index == ACCEPT
        return index == ACCEPT


def _note(count: ComparisonCount, step: Step, event: Event) -> None:
    """Keeps the value as an example; few and short ones, since events may hold any number of any length."""
    if len(count.misses) < _MAX_EXAMPLES:
        text = value_text(found_value(step.comparison, event))
        count.misses[text if len(text) <= _MAX_EXAMPLE_CHARS else f"{text[: _MAX_EXAMPLE_CHARS - 3]}..."] = None
