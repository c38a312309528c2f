"""One comparison compiled to one function of an event: the function that matching calls and that `explain` asks.

Rules from Dovecot's event filter language, "Evaluation". Functions read the `raw_*` attributes of events: everything
else costs too much at a million events a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import UNSET

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import LOG_TYPES, Event
from dovebeam.transforms.events.values import IPAddress, Timestamp
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.reasons import Judge, Mismatches
from dovebeam.transforms.filters.values import Value, classify, in_network
from dovebeam.transforms.filters.wildcards import compile_wildcard, equals_ignoring_case, has_wildcard, unescape

__all__ = ["Judges", "Test", "compile_comparison", "exact_name", "may_warn", "number_bounds"]


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


# One comparison compiled to one function of an event: the function that matching calls and that `explain` asks.
#
# Rules from Dovecot's event filter language, "Evaluation". Functions read the `raw_*` attributes of events: everything
# else costs too much at a million events a second.

Test = Callable[[Event], bool]


def compile_comparison(comparison: Comparison, mismatches: Mismatches) -> Test:
    """The test of one comparison; warnings go to `mismatches`."""
    special = _SPECIAL.get(comparison.key)
    if special is not None:
        return special(comparison.value)
    value = classify(comparison.value)
    judges = Judges(comparison, value, mismatches)
    if comparison.key == "duration":
        return _duration_test(comparison, value, judges)
    if CATALOGUE.is_candidate(comparison.key):
        return _recovered_field_test(comparison.key, judges)
    if value.kind == "integer":
        return _number_test(comparison, value, judges)
    if comparison.operator == "=" and value.kind in ("literal", "ip", "ambiguous"):
        return _equality_test(comparison.key, value.text, judges)
    return _field_test(comparison.key, judges)


def exact_name(comparison: Comparison) -> str | None:
    """The only name for which an `event=` comparison holds, None for wildcards and other keys."""
    if comparison.key != "event" or has_wildcard(comparison.value):
        return None
    return unescape(comparison.value)


def may_warn(comparison: Comparison) -> bool:
    """Whether evaluating this comparison can leave a warning."""
    if comparison.key in _SPECIAL:
        return False
    if comparison.key != "duration":
        return True
    kind = classify(comparison.value).kind
    return kind != "integer" and not (kind == "numeric pattern" and comparison.operator == "=")


def _name_test(text: str) -> Test:
    if has_wildcard(text):
        matches = compile_wildcard(text, ignore_case=False)
        return lambda event: event.raw_name is not UNSET and matches(event.raw_name)
    name = unescape(text)
    return lambda event: event.raw_name == name


def _category_test(text: str) -> Test:
    if text in LOG_TYPES:
        return lambda event: event.log_type == text
    name = unescape(text)
    if not name:
        return lambda _: False

    def test(event: Event) -> bool:
        categories = event.raw_categories
        return categories is not UNSET and name in categories

    return test


def _source_test(text: str) -> Test:
    location = unescape(text)
    if ":" in location:
        return lambda event: event.source == location
    return lambda event: event.source_file == location


_SPECIAL: Final[dict[str, Callable[[str], Test]]] = {
    "event": _name_test,
    "category": _category_test,
    "source_location": _source_test,
}


def _duration_test(comparison: Comparison, value: Value, judges: Judges) -> Test:
    """A field of this name that is no integer counts for nothing; what is missing is 0."""
    if value.kind != "integer":
        return lambda event: judges.judge(event.duration, event)
    low, high = number_bounds(comparison.operator, value.number)

    def test(event: Event) -> bool:
        fields = event.raw_fields
        number = 0 if fields is UNSET else fields.get("duration")
        if type(number) is not int:
            number = 0
        return low <= number <= high

    return test


def _recovered_field_test(key: str, judges: Judges) -> Test:
    """For fields whose text in an export may stand for an address or a timestamp."""

    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        if type(value) is str:
            value = event.get(key)
        return judges[type(value)](value, event)

    return test


def _number_test(comparison: Comparison, value: Value, judges: Judges) -> Test:
    key = comparison.key
    low, high = number_bounds(comparison.operator, value.number)

    def test(event: Event) -> bool:
        fields = event.raw_fields
        number = None if fields is UNSET else fields.get(key)
        if type(number) is int:
            return low <= number <= high
        return judges[type(number)](number, event)

    return test


def _equality_test(key: str, wanted: str, judges: Judges) -> Test:
    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        return value == wanted or judges[type(value)](value, event)

    return test


def _field_test(key: str, judges: Judges) -> Test:
    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        return judges[type(value)](value, event)

    return test
