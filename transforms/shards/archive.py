"""The hours of events: as text, as directories of an archive, and back to the times that a directory holds."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from dovebeam.transforms.events.event import Event

__all__ = ["ARCHIVE_NAME", "HOUR_USEC", "HourPartition", "HourRouter", "archive_of", "hour_of", "partition_span"]

HOUR_USEC: Final = 3_600_000_000
ARCHIVE_NAME: Final = "events.avro"
"""The name of files of an archive, before the marks of run and shard."""

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  only its difference to others is used, all in UTC
_PARTITION: Final = re.compile(r"(?:\A|/)date=([0-9]{4})-([0-9]{2})-([0-9]{2})/hour=([0-9]{2})/")
_NO_TIME: Final = "date=none/hour=none"
_UNDATED: Final = re.compile(rf"/{_NO_TIME}/")


def hour_of(event: Event) -> dt.datetime | None:
    """The hour (UTC) of the event's time; None for an event without times."""
    usec = event.time
    if usec is None:
        return None
    try:
        return (_EPOCH + dt.timedelta(microseconds=usec)).replace(minute=0, second=0, microsecond=0)
    except OverflowError:  # not within the years 1 to 9999
        return None


class HourRouter:
    """Tells the hour of an event where an export tells its file."""

    def route(self, event: Event) -> str:
        """The hour as in 2026-11-22T08Z; empty for events without times."""
        hour = hour_of(event)
        return "" if hour is None else f"{hour:%Y-%m-%dT%HZ}"


class HourPartition:
    """Finds the file of an event in an archive, without marks of run and shard."""

    def route(self, event: Event) -> str:
        """A name such as `date=2026-11-22/hour=08/events.avro`; events without times have a place of their own."""
        hour = hour_of(event)
        folder = _NO_TIME if hour is None else f"date={hour.year:04}-{hour:%m-%d}/hour={hour:%H}"
        return f"{folder}/{ARCHIVE_NAME}"


def archive_of(path: str) -> str | None:
    """The archive that a file in a directory of an hour belongs to, by its path or URL; None for other files."""
    found = _PARTITION.search(path) or _UNDATED.search(path)
    return path[: found.start()] if found is not None else None


def partition_span(name: str) -> tuple[int, int] | None:
    """The first time that a file in this directory can hold, and the first that it cannot hold any more.

    Returns:
        Microseconds since 1970; None if the name says nothing about times.
    """
    found = _PARTITION.search(name)
    if found is None:
        return None
    year, month, day, hour = map(int, found.groups())
    try:
        begin = (dt.datetime(year, month, day, hour) - _EPOCH) // dt.timedelta(microseconds=1)  # noqa: DTZ001
    except ValueError:
        return None
    return begin, begin + HOUR_USEC
