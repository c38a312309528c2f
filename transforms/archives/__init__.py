"""Archives of events: Avro files by the hour of the events, and a manifest for each run that wrote some.

DIR/date=2026-11-22/hour=08/events-RUN-00000-of-00002.avro
DIR/archive-RUN.manifest.json
"""

from dovebeam.transforms.archives.framing import AvroFraming
from dovebeam.transforms.archives.selection import ArchiveFile, archive_files, is_wanted
from dovebeam.transforms.shards.archive import HourPartition, HourRouter, archive_of, partition_span

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
