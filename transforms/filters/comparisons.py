"""Compiles one comparison to one function of an event, which both matching and `explain` call.

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
from dovebeam.transforms.filters.reasons import Mismatch, Mismatches, Predicate
from dovebeam.transforms.filters.values import Value, classify, in_network
from dovebeam.transforms.filters.wildcards import compile_wildcard, equals_ignoring_case, has_wildcard, unescape

__all__ = ["Predicates", "Test", "compile_comparison", "exact_name", "may_warn", "number_bounds"]

Test = Callable[[Event], bool]
_UNBOUNDED: Final = 2**200  # beyond every integer field


def compile_comparison(comparison: Comparison, mismatches: Mismatches) -> Test:
    """The test of one comparison; warnings go to `mismatches`."""
    special = _SPECIAL.get(comparison.key)
    if special is not None:
        return special(comparison.value)
    value = classify(comparison.value)
    predicates = Predicates(comparison, value, mismatches)
    # The specialised tests below decide most events without a lookup by type; the order is from special to general.
    if comparison.key == "duration":
        return _duration_test(comparison, value, predicates)
    if CATALOGUE.is_candidate(comparison.key):
        return _recovered_field_test(comparison.key, predicates)
    if value.kind == "integer":
        return _number_test(comparison, value, predicates)
    if comparison.operator == "=" and value.kind in ("literal", "ip", "ambiguous"):
        return _equality_test(comparison.key, value.text, predicates)
    return _field_test(comparison.key, predicates)


def exact_name(comparison: Comparison) -> str | None:
    """The only name for which an `event=` comparison holds, None for wildcards and other keys."""
    if comparison.key != "event" or has_wildcard(comparison.value):
        return None
    return unescape(comparison.value)


def may_warn(comparison: Comparison) -> bool:
    """Whether evaluating this comparison can leave a warning."""
    if comparison.key in _SPECIAL:
        return False
    # `duration` is always an integer; any other field may have a type that does not fit in some event.
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
    # The raw text decides ("For event, category, source_location"): `"\debug"` is a category called debug.
    if text in LOG_TYPES:
        return lambda event: event.log_type == text
    name = unescape(text)
    # `category=""` is false even for an event without categories.
    if not name:
        return lambda _: False

    def test(event: Event) -> bool:
        categories = event.raw_categories
        return categories is not UNSET and name in categories

    return test


def _source_test(text: str) -> Test:
    location = unescape(text)
    # Text, not a line number: `foo.c:012` never matches.
    if ":" in location:
        return lambda event: event.source == location
    return lambda event: event.source_file == location


_SPECIAL: Final[dict[str, Callable[[str], Test]]] = {
    "event": _name_test,
    "category": _category_test,
    "source_location": _source_test,
}


def _duration_test(comparison: Comparison, value: Value, predicates: Predicates) -> Test:
    """The test of the pseudo field `duration`, which always exists: 0 where it is missing or not an integer."""
    if value.kind != "integer":
        return lambda event: predicates.result(event.duration, event)
    low, high = number_bounds(comparison.operator, value.number)

    def test(event: Event) -> bool:
        fields = event.raw_fields
        number = 0 if fields is UNSET else fields.get("duration")
        if type(number) is not int:
            number = 0
        return low <= number <= high

    return test


def _recovered_field_test(key: str, predicates: Predicates) -> Test:
    """The test of a field whose text in an export may stand for an address or a timestamp."""

    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        # Recovering the type costs more than the comparison, so only text is looked at again.
        if type(value) is str:
            value = event.get(key)
        return predicates[type(value)](value, event)

    return test


def _number_test(comparison: Comparison, value: Value, predicates: Predicates) -> Test:
    key = comparison.key
    low, high = number_bounds(comparison.operator, value.number)

    def test(event: Event) -> bool:
        fields = event.raw_fields
        number = None if fields is UNSET else fields.get(key)
        if type(number) is int:  # a bool is not an integer field, and this is faster than isinstance
            return low <= number <= high
        return predicates[type(number)](number, event)

    return test


def _equality_test(key: str, wanted: str, predicates: Predicates) -> Test:
    # Text that is equal byte for byte is equal under every rule of `=`; the rest asks the rules for its type.
    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        return value == wanted or predicates[type(value)](value, event)

    return test


def _field_test(key: str, predicates: Predicates) -> Test:
    def test(event: Event) -> bool:
        fields = event.raw_fields
        value = None if fields is UNSET else fields.get(key)
        return predicates[type(value)](value, event)

    return test


# Fields: one predicate for each type that the value in an event can have.


def number_bounds(operator: str, number: int) -> tuple[int, int]:
    """The integers for which `field OPERATOR number` holds, both ends included."""
    low = number + (operator == ">") if operator in ("=", ">", ">=") else -_UNBOUNDED
    high = number - (operator == "<") if operator in ("=", "<", "<=") else _UNBOUNDED
    return low, high


@dataclass(slots=True)
class _FieldTest:
    """Makes the predicates of one comparison of a field, one method for each type of value ("Truth table")."""

    comparison: Comparison
    value: Value
    mismatches: Mismatches
    _text_test: Callable[[str], bool] | None = field(default=None)

    def predicate_for(self, type_: type) -> Predicate:
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

    def _refuse(self, kind: Mismatch) -> Predicate:
        return self.mismatches.refuse(kind, self.comparison, self.value)

    def missing(self) -> Predicate:
        # The operator is ignored: `a>""` and `a<=""` are true, too ("Missing field").
        result = self.value.is_empty
        return lambda _, __: result

    def string(self) -> Predicate:
        if self.comparison.operator != "=":
            return self._refuse(Mismatch.STRING_OPERATOR)
        matches_text, is_empty = self.matches_text, self.value.is_empty
        # An empty field equals only the literal empty value; not even `*` matches it.
        return lambda text, _: matches_text(text) if text else is_empty

    def integer(self) -> Predicate:
        kind = self.value.kind
        # The order decides which warning Dovecot gives where two would fit.
        if kind == "ambiguous":
            return self._refuse(Mismatch.AMBIGUOUS_UNIT)
        if kind == "integer":
            low, high = number_bounds(self.comparison.operator, self.value.number)
            return lambda number, _: low <= number <= high
        if kind != "numeric pattern":
            return self._refuse(Mismatch.NOT_A_NUMBER)
        if self.comparison.operator != "=":
            return self._refuse(Mismatch.PATTERN_OPERATOR)
        matches_text = self.matches_text
        return lambda number, _: matches_text(str(number))

    def address(self) -> Predicate:
        if self.comparison.operator != "=":
            return self._refuse(Mismatch.ADDRESS_OPERATOR)
        if self.value.network is not None:
            network = self.value.network
            return lambda address, _: in_network(address.text, network)
        # An ambiguous value such as 1m is compared as text and matches nothing, without a warning.
        if self.value.kind in ("integer", "literal"):
            return self._refuse(Mismatch.NOT_AN_ADDRESS)
        matches_text = self.matches_text
        return lambda address, _: matches_text(address.text)

    def timestamp(self) -> Predicate:
        return self._refuse(Mismatch.TIMESTAMP)

    def string_list(self) -> Predicate:
        if self.comparison.operator != "=":
            return self._refuse(Mismatch.LIST_OPERATOR)
        matches_text, is_empty = self.matches_text, self.value.is_empty

        # Unlike in a text field, an empty element is matched by `*`.
        def matches_any(elements: list[str], _: Event) -> bool:
            return any(map(matches_text, elements)) if elements else is_empty

        return matches_any


_BY_TYPE: Final[dict[type, Callable[[_FieldTest], Predicate]]] = {
    str: _FieldTest.string,
    int: _FieldTest.integer,
    type(None): _FieldTest.missing,
    list: _FieldTest.string_list,
    IPAddress: _FieldTest.address,
    Timestamp: _FieldTest.timestamp,
}


class Predicates(dict[type, Predicate]):
    """Predicates of one comparison by the type of the value; each is made when the first value of its type is seen."""

    __slots__ = ("_test",)

    def __init__(self, comparison: Comparison, value: Value, mismatches: Mismatches) -> None:
        super().__init__()
        self._test = _FieldTest(comparison, value, mismatches)

    def __missing__(self, type_: type) -> Predicate:
        predicate = self[type_] = self._test.predicate_for(type_)
        return predicate

    def result(self, value: Any, event: Event) -> bool:
        """The result of the comparison for one value of the field, None for a missing field."""
        return self[type(value)](value, event)
