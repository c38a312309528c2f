"""What Dovecot warns about when a filter meets a field of a type that it cannot be compared with.

Rules from Dovecot's event filter language, "Warnings": once per comparison and kind for the life of a filter, and only
when the comparison is evaluated. dovebeam collects them for the caller instead of logging them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.values import Value

__all__ = ["FilterWarning", "Judge", "Mismatches"]

Judge = Callable[[Any, Event], bool]  # a field's value and its event to the result of the comparison

_ONLY_EQUALITY = "Event filter for {type} field '{key}' only supports equality operation '=' not '{operator}'."
_TEXTS: Final = {
    "W1": _ONLY_EQUALITY.replace("{type}", "string"),
    "W2": (
        "Event filter matches integer field '{key}' with value that has an ambiguous unit '{value}'. "
        "Please use either 'mins' or 'MB' to specify interval or size respectively."
    ),
    "W3": "Event filter matches integer field '{key}' against non-integer value '{value}'.",
    "W4": (
        "Event filter matches integer field '{key}' against wildcard value '{value}' "
        "with an incompatible operation '{operator}', please use '='."
    ),
    "W5": _ONLY_EQUALITY.replace("{type}", "IP"),
    "W6": "Event filter matches IP field '{key}' against non-IP value '{value}'.",
    "W7": "Event filter for timeval field '{key}' is currently not implemented.",
    "W8": _ONLY_EQUALITY.replace("{type}", "string list"),
}
# Dovecot remembers with one flag for each of these groups, per comparison, that it has warned.
_FLAGS: Final = {"W1": 1, "W8": 1, "W2": 2, "W3": 3, "W4": 3, "W6": 3, "W5": 4, "W7": 5}


@dataclass(frozen=True, slots=True)
class FilterWarning:
    """One warning.

    Attributes:
        code: W1 string, W2 ambiguous unit, W3 integer, W4 integer against wildcard, W5 and W6 IP, W7 timestamp,
            W8 string list.
        text: Dovecot's text, with the name and source location of the first event that it happened with.
        offset: of the comparison in the filter.
    """

    code: str
    text: str
    offset: int


class Mismatches:
    """The warnings of one filter: at most five for each of its comparisons."""

    __slots__ = ("_flags", "records")

    def __init__(self) -> None:
        self.records: list[FilterWarning] = []
        self._flags: set[tuple[int, int]] = set()

    def refuse(self, code: str, comparison: Comparison, value: Value) -> Judge:
        """A judge that is always false and records the warning `code` the first time."""
        flag = (comparison.offset, _FLAGS[code])

        def judge(_: Any, event: Event) -> bool:
            if flag not in self._flags:
                self._flags.add(flag)
                text = _TEXTS[code].format(key=comparison.key, value=value.text, operator=comparison.operator)
                self.records.append(FilterWarning(code, text + _tail(event), comparison.offset))
            return False

        return judge


def _tail(event: Event) -> str:
    return f" (event={event.name or ''}, source={event.source or 'unknown'})"
