"""Why a comparison of a field is never true, and what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Final

from dovebeam.transforms.events.values import INT64_MAX
from dovebeam.transforms.filters.nodes import Comparison
from dovebeam.transforms.filters.units import INTERVAL_UNITS_MSEC, MAX_INTERVAL_MSEC, SIZE_UNITS
from dovebeam.transforms.filters.values import Value
from dovebeam.transforms.values.addresses import IPAddress
from dovebeam.transforms.values.timestamps import Timestamp

__all__ = ["mapped_network", "reason_for"]

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
