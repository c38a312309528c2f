"""Which files of an archive a time range needs."""

import pytest

from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.shards.archive import ArchiveFile, archive_files, is_wanted
from dovebeam.transforms.shards.committing import Manifest, ManifestFile

HOUR_8 = 1_795_334_400_000_000
NAME = "date=2026-11-22/hour=08/events-r-00000-of-00001.avro"


@pytest.mark.parametrize(
    ("span", "start", "end", "wanted"),
    [
        (None, None, None, True),
        (None, HOUR_8, HOUR_8 + 1, True),
        (None, HOUR_8 + 3_600_000_000, None, False),
        (None, HOUR_8 + 3_599_999_999, None, True),
        (None, None, HOUR_8, False),
        (None, None, HOUR_8 + 1, True),
        ((100, 200), 200, 300, True),
        ((100, 200), 201, 300, False),
        ((100, 200), 0, 100, False),
        ((100, 200), 0, 101, True),
        ((100, 200), None, None, True),
        ((100, 200), 150, None, True),
    ],
)
def test_a_file_is_wanted_if_it_may_hold_an_event(
    span: tuple[int, int] | None, start: int | None, end: int | None, wanted: bool
) -> None:
    """The manifest's span decides, without one the hour of the directory; ends are not included."""
    assert is_wanted(ArchiveFile(NAME, span), TimeRange(start, end)) is wanted


def test_an_unknown_file_is_always_wanted() -> None:
    """What says nothing about its time may hold anything."""
    assert is_wanted(ArchiveFile("somewhere/else.avro"), TimeRange(5, 6))


def test_what_manifests_say() -> None:
    """Files of several runs, and files that no manifest names, in the order of their names."""
    one = Manifest("archive", "a", "done", 7, (ManifestFile("x.avro", 7, 10, "00", 1, 2),))
    two = Manifest("archive", "b", "done", 1, (ManifestFile("y.avro", 1, 10, "00"),))
    assert archive_files(["z.avro", "y.avro", "x.avro"], [one, two]) == [
        ArchiveFile("x.avro", (1, 2), 7),
        ArchiveFile("y.avro", None, 1),
        ArchiveFile("z.avro"),
    ]
