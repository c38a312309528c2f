"""Which files of an archive a time range needs: by the manifests of the runs, and by the names of directories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dovebeam.transforms.shards.archive import partition_span
from dovebeam.transforms.shards.manifest import Manifest, ManifestFile
from dovebeam.transforms.time_range import TimeRange

__all__ = ["ArchiveFile", "archive_files", "is_wanted"]


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
