"""Why a comparison of a field does not hold: Dovecot's warnings, and explanations where Dovecot says nothing.

Rules from Dovecot's event filter language, "Warnings": once per comparison and kind for the life of a filter, and only
when the comparison is evaluated. dovebeam collects them for the caller instead of logging them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import INT64_MAX, IPAddress, Timestamp, canonical_ip
from dovebeam.transforms.filters.nodes import SPECIAL_KEYS, Comparison
from dovebeam.transforms.filters.values import INTERVAL_UNITS_MSEC, MAX_INTERVAL_MSEC, SIZE_UNITS, Value, classify

__all__ = [
    "AddressKind",
    "FilterWarning",
    "Mismatch",
    "Mismatches",
    "Predicate",
    "address_kind",
    "address_note",
    "mapped_network",
    "reason_for",
]


Predicate = Callable[[Any, Event], bool]
"""The result of a comparison for a field's value and the event that has it."""


class Mismatch(StrEnum):
    """The kinds of warnings, by the ids that `FilterWarning.code` shows."""

    STRING_OPERATOR = "W1"
    AMBIGUOUS_UNIT = "W2"
    NOT_A_NUMBER = "W3"
    PATTERN_OPERATOR = "W4"
    ADDRESS_OPERATOR = "W5"
    NOT_AN_ADDRESS = "W6"
    TIMESTAMP = "W7"
    LIST_OPERATOR = "W8"


# Dovecot's own texts, byte for byte.
_ONLY_EQUALITY = "Event filter for {type} field '{key}' only supports equality operation '=' not '{operator}'."
_TEXTS: Final = {
    Mismatch.STRING_OPERATOR: _ONLY_EQUALITY.replace("{type}", "string"),
    Mismatch.AMBIGUOUS_UNIT: (
        "Event filter matches integer field '{key}' with value that has an ambiguous unit '{value}'. "
        "Please use either 'mins' or 'MB' to specify interval or size respectively."
    ),
    Mismatch.NOT_A_NUMBER: "Event filter matches integer field '{key}' against non-integer value '{value}'.",
    Mismatch.PATTERN_OPERATOR: (
        "Event filter matches integer field '{key}' against wildcard value '{value}' "
        "with an incompatible operation '{operator}', please use '='."
    ),
    Mismatch.ADDRESS_OPERATOR: _ONLY_EQUALITY.replace("{type}", "IP"),
    Mismatch.NOT_AN_ADDRESS: "Event filter matches IP field '{key}' against non-IP value '{value}'.",
    Mismatch.TIMESTAMP: "Event filter for timeval field '{key}' is currently not implemented.",
    Mismatch.LIST_OPERATOR: _ONLY_EQUALITY.replace("{type}", "string list"),
}
# Dovecot remembers with one flag for each of these groups, per comparison, that it has warned ("Warnings").
_FLAGS: Final = {
    Mismatch.STRING_OPERATOR: 1,
    Mismatch.LIST_OPERATOR: 1,
    Mismatch.AMBIGUOUS_UNIT: 2,
    Mismatch.NOT_A_NUMBER: 3,
    Mismatch.PATTERN_OPERATOR: 3,
    Mismatch.NOT_AN_ADDRESS: 3,
    Mismatch.ADDRESS_OPERATOR: 4,
    Mismatch.TIMESTAMP: 5,
}


@dataclass(frozen=True, slots=True)
class FilterWarning:
    """One warning that Dovecot would have logged about a filter.

    Attributes:
        code: the kind of warning: W1 a string and W8 a list of strings with an operator other than =, W2 an ambiguous
            unit, W3 an integer and a value that is not a number, W4 an integer and a pattern with an operator other
            than =, W5 an address with an operator other than =, W6 an address and a value that is not one, W7 a
            timestamp.
        text: Dovecot's text, with the name and source location of the first event that caused it.
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

    def refuse(self, kind: Mismatch, comparison: Comparison, value: Value) -> Predicate:
        """A predicate that is always false and records a warning of this kind the first time it is called."""
        flag = (comparison.offset, _FLAGS[kind])

        def refused(_: Any, event: Event) -> bool:
            if flag not in self._flags:
                self._flags.add(flag)
                text = _TEXTS[kind].format(key=comparison.key, value=value.text, operator=comparison.operator)
                self.records.append(FilterWarning(kind.value, text + _tail(event), comparison.offset))
            return False

        return refused


def _tail(event: Event) -> str:
    return f" (event={event.name or ''}, source={event.source or 'unknown'})"


# Comparisons that are never true, whatever the event: the reason, and what to write instead.

_AMOUNT: Final = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]{1,9}))? *([A-Za-z\u00b5\u03bc]*)")
_EXPONENT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?[eE]\+?[0-9]{1,2}")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[_'][0-9]{3})+")
_MICROSECONDS: Final = frozenset("us usec usecs microsecond microseconds \u00b5s \u03bcs".split())
# The unit of Dovecot's fields called `_usecs`, which its filters cannot write: "There is no microsecond unit".
_USEC_PER_MSEC: Final = 1_000


def reason_for(comparison: Comparison, value: Value, types: Collection[type]) -> str:
    """Reason why a comparison is never true, as the rest of a sentence that begins with the comparison.

    Args:
        comparison: of a field.
        value: its value, classified.
        types: the types that the field can have.
    """
    key, written = comparison.key, comparison.value
    if Timestamp in types and len(types) == 1:
        return f"Dovecot cannot compare times yet, and {key} is one"
    # Only integers refuse 1m; with = a text or an address compares it as text.
    if value.kind == "ambiguous" and (comparison.operator != "=" or int in types):
        return f"{written} is ambiguous, minutes or megabytes: {_unambiguous(written)}"
    if IPAddress in types and int not in types:
        if comparison.operator != "=":
            return f"{key} is an address, and those are only compared with ="
        if network := mapped_network(value):
            return f"Dovecot compares an IPv4 address as IPv4, even one that is written as IPv6: write {network}"
        return f"{written or 'an empty text'} is not an address: write one such as 192.0.2.1, 192.0.2.0/24 or 192.0.2.*"
    if int in types:
        return _no_number(key, comparison.operator, written, value)
    what = "a list of texts" if list in types else "text"
    return f"{key} is {what}, which is only compared with ="


def mapped_network(value: Value) -> str:
    """The IPv4 form of a network of IPv4-mapped addresses, which Dovecot never matches; else empty."""
    network = value.network
    # Dovecot converts a mapped address of an event to IPv4, but not the one in the filter ("Network test").
    if network is None or network.bits != 128 or not 96 <= network.length < 128 or network.number >> 32 != 0xFFFF:
        return ""
    return f"{ipaddress.IPv4Address(network.number & 0xFFFF_FFFF)}/{network.length - 96}"


def _unambiguous(written: str) -> str:
    number = written.rstrip("mM").strip()
    return f"write {number}MB or {number}min"


def _no_number(key: str, operator: str, written: str, value: Value) -> str:
    """Reason for a field that is an integer, or can be one."""
    if value.kind == "numeric pattern":
        return f"a pattern such as {written} is only compared with =, not with {operator}"
    if value.kind == "pattern":
        return f"{written} is not a number; patterns for numbers have only digits, * and ?"
    if value.kind == "ip":
        return f"{written} is understood as the address {value.text}; {_instead(key, written)}"
    if not written:
        return f"{key} is always there, and a number is never equal to an empty text"
    return f"{written} is not a number; {_instead(key, written)}"


def _instead(key: str, written: str) -> str:
    """Advice what to write: the number that was meant, or how numbers are written."""
    exact = _exact(key, written)
    if exact:
        return f"write {exact}"
    return "write a whole number such as 1500, 1500ms, 90s or 10MB"


def _exact(key: str, written: str) -> str:
    """The number that was meant, with a unit if one fits; empty if that is not certain."""
    if _GROUPED.fullmatch(written):
        return written.replace("_", "").replace("'", "")
    if _EXPONENT.fullmatch(written):
        return _whole(Decimal(written))
    match = _AMOUNT.fullmatch(written)
    if match is None:
        return ""
    sign, digits, fraction, unit = match[1], match[2], match[3] or "0", match[4].lower()
    amount = Decimal(f"{sign}{digits}.{fraction}")
    if unit in _MICROSECONDS:
        return _whole(amount)
    msec = INTERVAL_UNITS_MSEC.get(unit)
    if msec is not None:
        return _interval(amount * msec)
    if unit and (size := SIZE_UNITS.get(unit)):
        return _whole(amount * size)
    # A fraction without a unit, compared with microseconds, was probably meant in seconds or milliseconds.
    return _whole(amount) if not unit and not key.endswith("_usecs") else ""


def _interval(msec: Decimal) -> str:
    # Longer intervals are not intervals for Dovecot, but their microseconds still fit in an integer.
    if msec == msec.to_integral_value() and 0 <= msec <= MAX_INTERVAL_MSEC:
        return f"{int(msec)}ms"
    return _whole(msec * _USEC_PER_MSEC)


def _whole(number: Decimal) -> str:
    return str(int(number)) if number == number.to_integral_value() and abs(number) <= INT64_MAX else ""


# Networks compared with an address that Dovecot stores as text, which never match.
#
# Dovecot's generic connection code stores addresses as text (`Catalogue.field_type`), and a network (`10.0.0.0/8`) is
# compared only with values that are addresses. Dovecot does not warn: the comparison is just false.

AddressKind = Literal["address", "text", "guessed address", "guessed text"]

_GUESS: Final = "is a guess here, since the event has no categories (export them to be sure)"


def address_kind(comparison: Comparison) -> Callable[[Event], AddressKind | None] | None:
    """Compiles the function that gives the kind of value of an event that a network is compared with.

    It returns None for an event without an address there. It is None itself for a comparison without a network.
    """
    key = comparison.key
    network = None if key in SPECIAL_KEYS else classify(comparison.value).network
    # A network of one address compares like a text, so it matches an address that is stored as text, too.
    if network is None or network.length == network.bits or comparison.operator != "=":
        return None

    def kind(event: Event) -> AddressKind | None:
        value = event.get(key)
        is_text = isinstance(value, str) and canonical_ip(value)
        if not is_text and not isinstance(value, IPAddress):
            return None
        if CATALOGUE.is_guess(key, event.name, event.exported_categories):
            return "guessed text" if is_text else "guessed address"
        return "text" if is_text else "address"

    return kind


def address_note(comparison: Comparison, kind: AddressKind | None) -> str:
    """Note for people about a comparison of a network with a value of this kind; empty if there is nothing to say."""
    key = comparison.key
    pattern = _pattern(comparison)
    advice = f" ({pattern} matches both)" if pattern else ""
    notes: dict[AddressKind | None, str] = {
        "text": f"{key} is text in this event, a network never matches it{advice}",
        "guessed text": f"the type of {key} {_GUESS}: taken for text, which a network never matches{advice}",
        "guessed address": f"the type of {key} {_GUESS}: taken for an address; where it is text, no network matches it",
    }
    return notes.get(kind, "")


def _pattern(comparison: Comparison) -> str:
    """The comparison with a pattern that matches the network's addresses also as text; empty if there is none."""
    network = classify(comparison.value).network
    # Only whole bytes of IPv4 are a prefix of the text.
    if network is None or network.bits != 32 or network.length not in (8, 16, 24):
        return ""
    parts = network.text.partition("/")[0].split(".")[: network.length // 8]
    return f"{comparison.key}={'.'.join(parts)}.*"
