"""One comparison compiled to one function of an event: the function that matching calls and that `explain` asks.

Rules from Dovecot's event filter language, "Evaluation". Functions read the `raw_*` attributes of events: everything
else costs too much at a million events a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import UNSET

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import LOG_TYPES, Event
from dovebeam.transforms.filters.fieldtests import Judges, number_bounds
from dovebeam.transforms.filters.mismatches import Mismatches
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.text import has_wildcard, unescape
from dovebeam.transforms.filters.values import Value, classify
from dovebeam.transforms.filters.wildcards import compile_wildcard

__all__ = ["Test", "compile_comparison", "exact_name", "may_warn"]

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
