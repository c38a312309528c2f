"""The comparison with one value of a field, by the type that the value has.

Rules from Dovecot's event filter language, "Fields" and the truth table: what a string, integer, address, timestamp,
string list or missing field says to each kind of value and each operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters.mismatches import Judge, Mismatches
from dovebeam.transforms.filters.networks import in_network
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.text import equals_ignoring_case
from dovebeam.transforms.filters.values import Value
from dovebeam.transforms.filters.wildcards import compile_wildcard
from dovebeam.transforms.values.addresses import IPAddress
from dovebeam.transforms.values.timestamps import Timestamp

__all__ = ["Judges", "number_bounds"]

_UNBOUNDED: Final = 2**200  # beyond every integer field


def number_bounds(operator: str, number: int) -> tuple[int, int]:
    """The integers for which `field OPERATOR number` holds, both ends included."""
    low = number + (operator == ">") if operator in ("=", ">", ">=") else -_UNBOUNDED
    high = number - (operator == "<") if operator in ("=", "<", "<=") else _UNBOUNDED
    return low, high


@dataclass(slots=True)
class _FieldTest:
    """One comparison of a field; each method makes the judge for one type of field."""

    comparison: Comparison
    value: Value
    mismatches: Mismatches
    _text_test: Callable[[str], bool] | None = field(default=None)

    def judge_for(self, type_: type) -> Judge:
        for known, make in _BY_TYPE.items():
            if issubclass(type_, known):
                return make(self)
        message = f"field {self.comparison.key!r} has a value of type {type_.__name__}, which no Dovecot event can have"
        raise TypeError(message)

    @property
    def matches_text(self) -> Callable[[str], bool]:
        """The test on one text, without the rules for empty fields."""
        if self._text_test is None:
            is_pattern = self.value.kind in ("numeric pattern", "pattern")
            text = self.value.text
            self._text_test = compile_wildcard(text, ignore_case=True) if is_pattern else equals_ignoring_case(text)
        return self._text_test

    def _refuse(self, code: str) -> Judge:
        return self.mismatches.refuse(code, self.comparison, self.value)

    def missing(self) -> Judge:
        result = self.value.is_empty
        return lambda _, __: result

    def string(self) -> Judge:
        if self.comparison.operator != "=":
            return self._refuse("W1")
        matches_text, is_empty = self.matches_text, self.value.is_empty
        return lambda text, _: matches_text(text) if text else is_empty

    def integer(self) -> Judge:
        kind = self.value.kind
        if kind == "ambiguous":
            return self._refuse("W2")
        if kind == "integer":
            low, high = number_bounds(self.comparison.operator, self.value.number)
            return lambda number, _: low <= number <= high
        if kind != "numeric pattern":
            return self._refuse("W3")
        if self.comparison.operator != "=":
            return self._refuse("W4")
        matches_text = self.matches_text
        return lambda number, _: matches_text(str(number))

    def address(self) -> Judge:
        if self.comparison.operator != "=":
            return self._refuse("W5")
        if self.value.network is not None:
            network = self.value.network
            return lambda address, _: in_network(address.text, network)
        if self.value.kind in ("integer", "literal"):
            return self._refuse("W6")
        matches_text = self.matches_text
        return lambda address, _: matches_text(address.text)

    def timestamp(self) -> Judge:
        return self._refuse("W7")

    def string_list(self) -> Judge:
        if self.comparison.operator != "=":
            return self._refuse("W8")
        matches_text, is_empty = self.matches_text, self.value.is_empty

        def judge(elements: list[str], _: Event) -> bool:
            return any(map(matches_text, elements)) if elements else is_empty

        return judge


_BY_TYPE: Final[dict[type, Callable[[_FieldTest], Judge]]] = {
    str: _FieldTest.string,
    int: _FieldTest.integer,
    type(None): _FieldTest.missing,
    list: _FieldTest.string_list,
    IPAddress: _FieldTest.address,
    Timestamp: _FieldTest.timestamp,
}


class Judges(dict[type, Judge]):
    """Type of a field's value to its judge; made when the first value of a type is seen."""

    __slots__ = ("_test",)

    def __init__(self, comparison: Comparison, value: Value, mismatches: Mismatches) -> None:
        super().__init__()
        self._test = _FieldTest(comparison, value, mismatches)

    def __missing__(self, type_: type) -> Judge:
        judge = self[type_] = self._test.judge_for(type_)
        return judge

    def judge(self, value: Any, event: Event) -> bool:
        """The result of the comparison for one value of the field, None for a missing field."""
        return self[type(value)](value, event)
