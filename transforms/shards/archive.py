"""Archives of events: partitions by the hour, their Avro files, and which of them a time range needs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from dovebeam.transforms.codecs import AvroCodec, container_block, container_head, time_of_avro
from dovebeam.transforms.events.event import Event, TimeRange
from dovebeam.transforms.shards.committing import Manifest, ManifestFile

__all__ = [
    "ArchiveFile",
    "AvroFraming",
    "HourPartition",
    "HourRouter",
    "archive_files",
    "archive_of",
    "is_wanted",
    "partition_span",
]


HOUR_USEC: Final = 3_600_000_000
ARCHIVE_NAME: Final = "events.avro"
"""The name of files of an archive, before the marks of run and shard."""

# Without a time zone: only its difference to other times is used, and all are in UTC.
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001
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
    """Router that gives the hour of an event instead of a path."""

    def route(self, event: Event) -> str:
        """The hour as in 2026-11-22T08Z; empty for events without times."""
        hour = hour_of(event)
        return "" if hour is None else f"{hour:%Y-%m-%dT%HZ}"


class HourPartition:
    """Router of an archive: the path of an event's file, without the marks of run and shard."""

    def route(self, event: Event) -> str:
        """A path such as `date=2026-11-22/hour=08/events.avro`; events without times have a folder of their own."""
        hour = hour_of(event)
        # Hive's names of partitions, which query engines understand. %Y would not fill years before 1000 with zeros.
        folder = _NO_TIME if hour is None else f"date={hour.year:04}-{hour:%m-%d}/hour={hour:%H}"
        return f"{folder}/{ARCHIVE_NAME}"


def archive_of(path: str) -> str | None:
    """Path or URL of the archive that a file belongs to, found by the folder of its hour; None for other files."""
    found = _PARTITION.search(path) or _UNDATED.search(path)
    return path[: found.start()] if found is not None else None


def partition_span(name: str) -> tuple[int, int] | None:
    """Time range of the folder of an hour: its start and its end, which is excluded.

    Returns:
        Microseconds since 1970; None if the name has no hour.
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


# The files that a time range needs, by the manifests of the runs and by the names of folders.


class ArchiveFile(NamedTuple):
    """A file of an archive.

    Attributes:
        name: relative to the archive.
        span: earliest and latest time of its events, microseconds since 1970; None if unknown.
        events: number of events in it; None if unknown.
    """

    name: str
    span: tuple[int, int] | None = None
    events: int | None = None


def archive_files(names: Iterable[str], manifests: Iterable[Manifest]) -> list[ArchiveFile]:
    """The Avro files of an archive, with what its manifests say of them.

    Args:
        names: of all its Avro files, relative to it.
        manifests: those in the archive.
    """
    known: dict[str, ManifestFile] = {file.name: file for manifest in manifests for file in manifest.files}
    return [_known(name, known) for name in sorted(names)]


def is_wanted(file: ArchiveFile, time_range: TimeRange) -> bool:
    """Whether a file may hold an event of the range; events without times are in no range but the one of everything."""
    if time_range == TimeRange():
        return True
    span = file.span
    # A file without a manifest, as after a job that was cut off, may still be in the folder of its hour. If nothing is
    # known of its times, it is read: no event of the range may be missed.
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


# The format of the files. Blocks are compressed by the bundles that make them, so that this work is parallel; the files
# are only put together of whole blocks.


class AvroFraming:
    """Framing of `encode_avro` records as Avro containers; see `Framing`.

    Args:
        codec: of the blocks.
    """

    def __init__(self, codec: AvroCodec = "deflate") -> None:
        self._codec = codec

    def frame(self, payloads: Sequence[bytes]) -> bytes:
        """One Avro block."""
        return container_block(payloads, self._codec)

    def head(self) -> bytes:
        """Schema, codec and sync marker."""
        return container_head(self._codec)

    def span(self, payloads: Sequence[bytes]) -> tuple[int, int] | None:
        """The earliest and the latest time; None if an event has no time."""
        times = [time for time in map(time_of_avro, payloads) if time is not None]
        # An event without a time is in no range, so a file that has one is found by its folder only.
        return (min(times), max(times)) if len(times) == len(payloads) else None
