"""Dovecot's timestamps: whole microseconds since 1970, in the two texts that an export can have.

Rules from Dovecot's export formats, "Common value texts": RFC 3339 in UTC with always six digits and `Z`, years above
9999 with more digits; Unix time as `SECONDS.MICROSECONDS` with always six digits. A time before 1970 is floored seconds
plus positive microseconds, so one microsecond before the epoch is `-1.999999`.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import msgspec

__all__ = [
    "EXACT_SECONDS",
    "Timestamp",
    "format_rfc3339",
    "format_unix",
    "parse_rfc3339",
    "parse_unix",
    "usec_of_datetime",
    "usec_of_seconds",
]

USEC_PER_SEC: Final = 1_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MIN_DATETIME_USEC: Final = -62_135_596_800 * USEC_PER_SEC
_MAX_DATETIME_USEC: Final = 253_402_300_800 * USEC_PER_SEC - 1
_DAYS_PER_ERA: Final = 146_097  # the Gregorian calendar repeats every 400 years
_DAYS_TO_MARCH_0000: Final = 719_468
EXACT_SECONDS: Final = 2.0**33  # below it a double holds every microsecond

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
    if not -EXACT_SECONDS < seconds < EXACT_SECONDS or -1.0 < seconds < 0.0:
        return None
    whole = int(seconds)
    return whole * USEC_PER_SEC + round(abs(seconds - whole) * USEC_PER_SEC)


def _civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day number since 1970; inside, years begin in March."""
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
