"""Why a filter matched an event, or why not: the result of each comparison and what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dovebeam.transforms.events.catalogue import Value as FieldValue
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.compiler import ACCEPT, Step, compile_steps
from dovebeam.transforms.filters.filter import Filter
from dovebeam.transforms.filters.mismatches import FilterWarning, Mismatches
from dovebeam.transforms.filters.nodes import SPECIAL_KEYS, Comparison
from dovebeam.transforms.filters.text_addresses import address_kind, address_note
from dovebeam.transforms.filters.values import Value, classify
from dovebeam.transforms.values.addresses import IPAddress
from dovebeam.transforms.values.timestamps import Timestamp, format_rfc3339

__all__ = ["Explanation", "Finding", "Outcome", "explain", "found_value", "value_text"]

Outcome = Literal["true", "false", "not evaluated"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one comparison.

    Attributes:
        comparison: the comparison, with its offset in the filter.
        outcome: `not evaluated` where the result was clear before it was reached.
        wanted: how its value is understood, None for the keys `event`, `category` and `source_location`.
        found: what the event has: the field's value, its name, source location or list of categories and log level;
            None if it has nothing there.
        warning: why the types do not fit, if they don't.
        note: what Dovecot does not say: the address that a network is compared with is text, or is by a guess what it
            was taken for; empty otherwise.
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
    """Evaluates a filter as matching does and notes what happens; the filter's own warnings are left alone.

    The shared decision on unnamed events of a whole configuration (`Dispatcher`) is not part of it.
    """
    if filter_.root is None:
        return Explanation(matched=False, findings=())
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
    """What an event has where a comparison looks; None if nothing."""
    match comparison.key:
        case "event":
            return event.name
        case "category":
            return [*event.categories, *([event.log_type] if isinstance(event.log_type, str) else [])]
        case "source_location":
            return event.source
        case "duration":
            return event.duration
        case key:
            return event.get(key)


def value_text(value: FieldValue | None) -> str:
    """What was found, for people."""
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
