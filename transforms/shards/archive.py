"""Archives of events: Avro files by the hour, how events lie in them, and which files a time range needs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from dovebeam.transforms.codecs import AvroCodec, container_block, container_head, time_of_avro
from dovebeam.transforms.events.event import Event, TimeRange
from dovebeam.transforms.shards.committing import Manifest, ManifestFile

__all__ = [
    "ARCHIVE_NAME",
    "HOUR_USEC",
    "ArchiveFile",
    "AvroFraming",
    "HourPartition",
    "HourRouter",
    "archive_files",
    "archive_of",
    "hour_of",
    "is_wanted",
    "partition_span",
]


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


# Which files of an archive a time range needs: by the manifests of the runs, and by the names of directories.


class ArchiveFile(NamedTuple):
    """A file of an archive.

    Attributes:
        name: relative to the archive.
        span: earliest and latest time of its events, microseconds since 1970; None if unknown.
        events: how many it holds; None if unknown.
    """

    name: str
    span: tuple[int, int] | None = None
    events: int | None = None


def archive_files(names: Iterable[str], manifests: Iterable[Manifest]) -> list[ArchiveFile]:
    """Everything that is known of the Avro files of an archive.

    Args:
        names: of all its Avro files, relative to it.
        manifests: that were found in it.
    """
    known: dict[str, ManifestFile] = {file.name: file for manifest in manifests for file in manifest.files}
    return [_known(name, known) for name in sorted(names)]


def is_wanted(file: ArchiveFile, time_range: TimeRange) -> bool:
    """Whether a file may hold an event of the range; events without times are in no range but the one of everything."""
    if time_range == TimeRange():
        return True
    span = file.span
    if span is None:
        of_partition = partition_span(file.name)
        if of_partition is None:
            return True
        span = of_partition[0], of_partition[1] - 1
    first, last = span
    return (time_range.end is None or first < time_range.end) and (time_range.start is None or last >= time_range.start)


def _known(name: str, known: Mapping[str, ManifestFile]) -> ArchiveFile:
    file = known.get(name)
    if file is None:
        return ArchiveFile(name)
    span = None
    if file.first_time_usec is not None and file.last_time_usec is not None:
        span = file.first_time_usec, file.last_time_usec
    return ArchiveFile(name, span, file.events)


# How events lie in the files of an archive: Avro blocks, compressed where they arise.


class AvroFraming:
    """Records of `encode_avro` in Avro containers; see `Framing`.

    Args:
        codec: how blocks are compressed.
    """

    def __init__(self, codec: AvroCodec = "deflate") -> None:
        self._codec = codec

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """One block."""
        return container_block(payloads, self._codec)

    def head(self) -> bytes:
        """Schema, codec and sync marker."""
        return container_head(self._codec)

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time, None if no event has any."""
        times = [time for time in map(time_of_avro, payloads) if time is not None]
        return (min(times), max(times)) if len(times) == len(payloads) else None
