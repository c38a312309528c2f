"""Why a comparison of a field is never true, and what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from dovebeam.transforms.events.catalogue import CATALOGUE
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.values import INT64_MAX, IPAddress, Timestamp, canonical_ip
from dovebeam.transforms.filters.nodes import SPECIAL_KEYS, Comparison
from dovebeam.transforms.filters.values import INTERVAL_UNITS_MSEC, MAX_INTERVAL_MSEC, SIZE_UNITS, Value, classify

__all__ = [
    "AddressKind",
    "FilterWarning",
    "Judge",
    "Mismatches",
    "address_kind",
    "address_note",
    "mapped_network",
    "reason_for",
]


_AMOUNT: Final = re.compile(r"([+-]?)([0-9]{1,18})(?:\.([0-9]{1,9}))? *([A-Za-z\u00b5\u03bc]*)")
_EXPONENT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?[eE]\+?[0-9]{1,2}")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[_'][0-9]{3})+")
_MICROSECONDS: Final = frozenset("us usec usecs microsecond microseconds \u00b5s \u03bcs".split())
_USEC_PER_MSEC: Final = 1_000


def reason_for(comparison: Comparison, value: Value, types: Collection[type]) -> str:
    """The reason, as the rest of a sentence that begins with the comparison.

    Args:
        comparison: of a field.
        value: its value, classified.
        types: the types that the field can have.
    """
    key, written = comparison.key, comparison.value
    if Timestamp in types and len(types) == 1:
        return f"Dovecot cannot compare times yet, and {key} is one"
    if value.kind == "ambiguous" and (comparison.operator != "=" or int in types):
        return f"{written} is ambiguous, minutes or megabytes: {_unambiguous(written)}"
    if IPAddress in types and int not in types:
        if comparison.operator != "=":
            return f"{key} is an address, and those are only compared with ="
        if network := mapped_network(value):
            return f"an IPv4 address is compared as such, also one that is written as IPv6: write {network}"
        return f"{written or 'an empty text'} is not an address: write one such as 192.0.2.1, 192.0.2.0/24 or 192.0.2.*"
    if int in types:
        return _no_number(key, comparison.operator, written, value)
    what = "a list of texts" if list in types else "text"
    return f"{key} is {what}, which is only compared with ="


def mapped_network(value: Value) -> str:
    """The IPv4 network that a network of IPv4-mapped addresses stands for, which Dovecot never matches; else empty."""
    network = value.network
    if network is None or network.bits != 128 or not 96 <= network.length < 128 or network.number >> 32 != 0xFFFF:
        return ""
    return f"{ipaddress.IPv4Address(network.number & 0xFFFF_FFFF)}/{network.length - 96}"


def _unambiguous(written: str) -> str:
    number = written.rstrip("mM").strip()
    return f"write {number}MB or {number}min"


def _no_number(key: str, operator: str, written: str, value: Value) -> str:
    """The field is an integer, or can be one."""
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
    exact = _exact(key, written)
    if exact:
        return f"write {exact}"
    return "numbers are whole, as 1500, 1500ms, 90s or 10MB"


def _exact(key: str, written: str) -> str:
    """The number that was meant, with a unit if one fits; empty if none can be told."""
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
    return _whole(amount) if not unit and not key.endswith("_usecs") else ""


def _interval(msec: Decimal) -> str:
    if msec == msec.to_integral_value() and 0 <= msec <= MAX_INTERVAL_MSEC:
        return f"{int(msec)}ms"
    return _whole(msec * _USEC_PER_MSEC)


def _whole(number: Decimal) -> str:
    return str(int(number)) if number == number.to_integral_value() and abs(number) <= INT64_MAX else ""


# Networks that meet an address which Dovecot stores as text, and so never match: what to tell people about it.
#
# Dovecot's generic connection code stores addresses as text (`Catalogue.field_type`), and a network (`10.0.0.0/8`) is
# compared only with values that are addresses. Dovecot gives no warning: the comparison is just false.

AddressKind = Literal["address", "text", "guessed address", "guessed text"]

_GUESS: Final = "is a guess here, since the event has no categories (export them to be sure)"


def address_kind(comparison: Comparison) -> Callable[[Event], AddressKind | None] | None:
    """The function that says what kind of value of an event a network is compared with.

    It returns None for an event without an address there. It is None itself for a comparison without a network.
    """
    key = comparison.key
    network = None if key in SPECIAL_KEYS else classify(comparison.value).network
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
    """What a person should know about a comparison of a network with a value of this kind; empty if nothing."""
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
    """The comparison with a pattern that matches the network's addresses, as text, too; empty if there is none."""
    network = classify(comparison.value).network
    if network is None or network.bits != 32 or network.length not in (8, 16, 24):
        return ""
    parts = network.text.partition("/")[0].split(".")[: network.length // 8]
    return f"{comparison.key}={'.'.join(parts)}.*"


# What Dovecot warns about when a filter meets a field of a type that it cannot be compared with.
#
# Rules from Dovecot's event filter language, "Warnings": once per comparison and kind for the life of a filter, and
# only when the comparison is evaluated. dovebeam collects them for the caller instead of logging them.

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
