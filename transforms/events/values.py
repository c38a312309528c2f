"""Typed values of fields: 64-bit integers, timestamps of whole microseconds and IP addresses, with their texts.

Rules from Dovecot's export formats, "Common value texts".
"""

from __future__ import annotations

import datetime as dt
import re
import socket
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

__all__ = [
    "EXACT_SECONDS",
    "INT64_MAX",
    "INT64_MIN",
    "USEC_PER_SEC",
    "IPAddress",
    "PackedAddress",
    "Timestamp",
    "canonical_ip",
    "format_rfc3339",
    "format_unix",
    "pack_ip",
    "parse_rfc3339",
    "parse_unix",
    "usec_of_datetime",
    "usec_of_seconds",
]


INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
USEC_PER_SEC: Final = 1_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# The years 1 to 9999, which Python's datetime can hold.
_MIN_DATETIME_USEC: Final = -62_135_596_800 * USEC_PER_SEC
_MAX_DATETIME_USEC: Final = 253_402_300_800 * USEC_PER_SEC - 1
_DAYS_PER_ERA: Final = 146_097  # the Gregorian calendar repeats every 400 years
_DAYS_TO_MARCH_0000: Final = 719_468
EXACT_SECONDS: Final = 2.0**33  # below it, until the year 2242, a double holds every microsecond

# 12 digits of year hold every time of 64-bit seconds.
_RFC3339 = re.compile(r"(-?[0-9]{4,12})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})Z")
_UNIX = re.compile(r"(-?)(0|[1-9][0-9]{0,18})\.([0-9]{6})")


class Timestamp(msgspec.Struct, frozen=True, order=True, gc=False):
    """A field of Dovecot's type timeval: microseconds since 1970-01-01T00:00:00Z, negative before it."""

    usec: int


def usec_of_datetime(moment: dt.datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * USEC_PER_SEC + delta.microseconds


def format_rfc3339(usec: int) -> str:
    """`2019-06-19T10:38:25.424812Z`; years above 9999 get the digits they need."""
    # datetime writes faster than the calendar arithmetic below, which only unusual times need.
    if _MIN_DATETIME_USEC <= usec <= _MAX_DATETIME_USEC:
        moment = _EPOCH + dt.timedelta(microseconds=usec)
        return moment.isoformat(timespec="microseconds")[:26] + "Z"
    seconds, fraction = divmod(usec, USEC_PER_SEC)
    days, second_of_day = divmod(seconds, 86_400)
    year, month, day = _civil_from_days(days)
    hours, rest = divmod(second_of_day, 3600)
    return f"{year:04d}-{month:02d}-{day:02d}T{hours:02d}:{rest // 60:02d}:{rest % 60:02d}.{fraction:06d}Z"


def format_unix(usec: int) -> str:
    """`1560940705.424812`; always six digits, floored seconds before 1970."""
    # So one microsecond before 1970 is -1.999999: Dovecot prints the two parts of a timeval, not a decimal number.
    seconds, fraction = divmod(usec, USEC_PER_SEC)
    return f"{seconds}.{fraction:06d}"


def parse_rfc3339(text: str) -> int | None:
    """Microseconds since 1970, or None if `text` is not exactly what Dovecot would write for some time."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = (int(part) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    # 31 June and a year with too many zeros get this far; writing the time again finds them.
    days = _days_from_civil(year, month, day)
    usec = ((days * 24 + hour) * 3600 + minute * 60 + second) * USEC_PER_SEC + fraction
    return usec if format_rfc3339(usec) == text else None


def parse_unix(text: str) -> int | None:
    """Microseconds since 1970, or None if `text` is not exactly what Dovecot would write for some time."""
    match = _UNIX.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[1] + match[2])
    usec = seconds * USEC_PER_SEC + int(match[3])
    return usec if format_unix(usec) == text else None


def usec_of_seconds(seconds: float) -> int | None:
    """Microseconds since 1970 of a Unix time that was read as a double; None where that may not be exact.

    The fraction counts upwards from whole seconds, also before 1970. What is finer than a microsecond is rounded.
    """
    # Between -1 and 0 the sign of the whole seconds is lost, so no text of Dovecot is there.
    if not -EXACT_SECONDS < seconds < EXACT_SECONDS or -1.0 < seconds < 0.0:
        return None
    whole = int(seconds)
    return whole * USEC_PER_SEC + round(abs(seconds - whole) * USEC_PER_SEC)


def _civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day number since 1970."""
    # Years begin in March in here, so that the leap day is the last of a year.
    era, day_of_era = divmod(days + _DAYS_TO_MARCH_0000, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def _days_from_civil(year: int, month: int, day: int) -> int:
    """The inverse of `_civil_from_days`."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_ERA + day_of_era - _DAYS_TO_MARCH_0000


# IP addresses. The canonical text is what the C library's inet_ntop writes; Python's `ipaddress` prints embedded IPv4
# addresses differently, so it is not used.

_MAX_TEXT = 100  # an address of 45 characters and an interface name
_IPV4_MAPPED = b"\x00" * 10 + b"\xff\xff"


class IPAddress(msgspec.Struct, frozen=True, gc=False):
    """A field of Dovecot's type IP: the canonical text, `192.0.2.1`, `2001:db8::1` or `fe80::1%eth0`."""

    text: str


class PackedAddress(NamedTuple):
    """An address as a number, for network tests: 32 or 128 bits, and the scope of a link-local one or ''."""

    bits: int
    number: int
    scope: str


# The same addresses come again and again: those of a server's users and of its load balancers.
@lru_cache(maxsize=16_384)
def pack_ip(text: str) -> PackedAddress | None:
    """The address that `text` names, or None; the text may be any valid one, not only the canonical one.

    Accepts dotted quads and IPv6 texts with an optional `%SCOPE`; only the filter language has the shorter legacy forms
    of IPv4. An IPv4-mapped IPv6 address is packed as IPv4, as Dovecot does with the address of an event.
    """
    packed = _to_bytes(text)
    if packed is None:
        return None
    _, _, scope = text.partition("%")
    if packed.startswith(_IPV4_MAPPED) and len(packed) == 16:
        packed = packed[12:]
    return PackedAddress(len(packed) * 8, int.from_bytes(packed, "big"), scope)


@lru_cache(maxsize=16_384)
def canonical_ip(text: str) -> bool:
    """Whether `text` is exactly what Dovecot would export for some IP address."""
    packed = _to_bytes(text)
    if packed is None:
        return False
    address, percent, scope = text.partition("%")
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    # A percent sign without a scope is not a text that Dovecot writes.
    return socket.inet_ntop(family, packed) == address and bool(scope) == bool(percent)


def _to_bytes(text: str) -> bytes | None:
    address, percent, _ = text.partition("%")
    if len(text) > _MAX_TEXT or not text.isascii() or "\0" in text:
        return None
    try:
        if ":" in address:
            return socket.inet_pton(socket.AF_INET6, address)
        return None if percent else socket.inet_pton(socket.AF_INET, address)
    except OSError:
        return None
