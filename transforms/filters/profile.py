"""How a filter fares with many events: how often each comparison was true, false or not reached, and on what.

The answer to a metric that stays at zero. `explain` says it of one event.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.compiler import ACCEPT, Step, compile_steps
from dovebeam.transforms.filters.explain import found_value, value_text
from dovebeam.transforms.filters.filter import Filter
from dovebeam.transforms.filters.mismatches import FilterWarning, Mismatches
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.text_addresses import AddressKind, address_kind, address_note

__all__ = ["ComparisonCount", "Profile"]

_MAX_EXAMPLES: Final = 3
_MAX_EXAMPLE_CHARS: Final = 60


@dataclass(slots=True)
class ComparisonCount:
    """What became of one comparison over all events.

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
        """What a person should know about the types of the addresses that a network was compared with."""
        met = [(address_note(self.comparison, kind), count) for kind, count in self.kinds.items()]
        return tuple(f"{count:,} of {self.true + self.false:,} events: {note}" for note, count in met if note)


class Profile:
    """Counts while it evaluates a filter as matching does; the filter's own warnings are left alone.

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
        """What Dovecot would have warned about; once per comparison and kind."""
        return tuple(self._mismatches.records)

    def add(self, event: Event) -> bool:
        """Evaluates the filter for one event; whether it matches."""
        self.events += 1
        index = 0 if self._steps else ACCEPT - 1
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
    if len(count.misses) < _MAX_EXAMPLES:
        text = value_text(found_value(step.comparison, event))
        count.misses[text if len(text) <= _MAX_EXAMPLE_CHARS else f"{text[: _MAX_EXAMPLE_CHARS - 3]}..."] = None
