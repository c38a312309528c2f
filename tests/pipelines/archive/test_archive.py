"""`dovebeam archive`: every event once, in the file of its hour, with a manifest."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path

import fastavro
import pytest

from dovebeam.transforms.codecs import decode_json, encode_json, event_from_avro
from dovebeam.transforms.events.event import Event, make_event
from support.jobs.commands import dovebeam, write_events
from support.oracle.corpus import CORPUS

HOUR = 3_600_000_000
DAY = 20_000 * 24 * HOUR


def event(number: int, hour: int) -> bytes:
    """A line whose event is of an hour of some day."""
    return encode_json(make_event("x", fields={"n": number}, end_time=DAY + hour * HOUR + number))


def manifest_of(folder: Path) -> dict[str, object]:
    """The one manifest of an archive."""
    [path] = folder.glob("*.manifest.json")
    return dict(json.loads(path.read_text()))


def events_of(path: Path) -> list[Event]:
    """All events of an Avro file, by a reader that is not ours."""
    with path.open("rb") as file:
        return [event_from_avro(record) for record in fastavro.reader(file, handle_unicode_errors="surrogateescape")]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An empty directory."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def test_the_corpus(archive: Path) -> None:
    """All events of the corpus with their types, each once; the ledger and the manifest say so."""
    lines = (CORPUS / "events.json.gz").read_bytes()
    ran = dovebeam("archive", "--input", CORPUS / "events.json.gz", "--output", archive)
    assert ran.code == 0, ran.err
    import gzip

    expected = Counter(repr(decode_json(line)._key()) for line in gzip.decompress(lines).splitlines())
    found = Counter(repr(each._key()) for path in archive.rglob("*.avro") for each in events_of(path))
    assert found == expected
    manifest = manifest_of(archive)
    assert (manifest["state"], manifest["events"]) == ("done", expected.total())
    assert "(all events)  archive" in ran.out
    assert not (archive / ".dovebeam").exists()


def test_partitions(tmp_path: Path, archive: Path) -> None:
    """One directory for each hour, whose files hold nothing else; times of files in the manifest."""
    hours = [0, 5, 5, 23, 24]
    source = write_events(tmp_path, [event(number, hour) for number, hour in enumerate(hours)])
    assert dovebeam("archive", "--input", source, "--output", archive, "--run_id", "r").code == 0
    files = {
        str(path.relative_to(archive)): [each.get("n") for each in events_of(path)] for path in archive.rglob("*.avro")
    }
    assert files == {
        "date=2024-10-04/hour=00/events-r-00000-of-00001.avro": [0],
        "date=2024-10-04/hour=05/events-r-00000-of-00001.avro": [1, 2],
        "date=2024-10-04/hour=23/events-r-00000-of-00001.avro": [3],
        "date=2024-10-05/hour=00/events-r-00000-of-00001.avro": [4],
    }
    spans = [(file["first_time_usec"] - DAY, file["last_time_usec"] - DAY) for file in manifest_of(archive)["files"]]
    assert spans == [
        (0, 0),
        (5 * HOUR + 1, 5 * HOUR + 2),
        (23 * HOUR + 3, 23 * HOUR + 3),
        (24 * HOUR + 4, 24 * HOUR + 4),
    ]


def test_again_is_the_same(tmp_path: Path, archive: Path) -> None:
    """The same command gives the same bytes and leaves nothing behind; other runs lie beside it."""
    source = write_events(tmp_path, [event(number, 1) for number in range(500)])
    arguments = ("archive", "--input", source, "--output", archive)
    assert dovebeam(*arguments).code == 0
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    assert dovebeam(*arguments).code == 0
    assert {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()} == before
    assert dovebeam(*arguments, "--run_id", "other").code == 0
    assert len(list(archive.rglob("*.avro"))) == 2 * len([path for path in before if path.suffix == ".avro"])


def test_other_files_of_the_same_names_are_another_run(tmp_path: Path, archive: Path) -> None:
    """The command of every night adds what is new and replaces nothing."""
    for night in range(2):
        source = write_events(tmp_path, [event(number, 1) for number in range(night, 2 * night + 3)])
        assert dovebeam("archive", "--input", source, "--output", archive).code == 0
    found = [each.get("n") for path in archive.rglob("*.avro") for each in events_of(path)]
    assert sorted(found) == [0, 1, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("more", [(), ("--run_id", "r")])
def test_an_archive_into_itself(tmp_path: Path, archive: Path, more: tuple[str, ...]) -> None:
    """Is refused: each event would be in it twice, and be replayed twice."""
    source = write_events(tmp_path, [event(1, 1)])
    assert dovebeam("archive", "--input", source, "--output", archive).code == 0
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    ran = dovebeam("archive", "--input", archive / "**" / "*.avro", "--output", archive, *more)
    assert (ran.code, "is in the archive of --output already" in ran.err) == (1, True), ran.err
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before


def test_an_archive_of_an_archive(tmp_path: Path, archive: Path) -> None:
    """Archives are read like any other input, with times that are wanted."""
    source = write_events(tmp_path, [event(number, number % 3) for number in range(300)])
    assert dovebeam("archive", "--input", source, "--output", archive).code == 0
    second = tmp_path / "second"
    second.mkdir()
    day = "2024-10-04T01:00:00Z", "2024-10-04T02:00:00Z"
    arguments = ("--input", f"{archive}/*/*/*.avro", "--output", second, "--start_time", day[0], "--end_time", day[1])
    ran = dovebeam("archive", *arguments, "--codec", "zstandard", "--ledger", tmp_path / "ledger.json")
    assert ran.code == 0, ran.err
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert (ledger["read"], ledger["matched"], ledger["out_of_range"]) == (300, 100, 200)
    assert manifest_of(second)["events"] == 100


def test_what_is_no_event(tmp_path: Path, archive: Path) -> None:
    """Rejected with its bytes; without a place for rejects the job fails, and says what to do."""
    source = write_events(tmp_path, [event(1, 1), b"{broken"])
    rejects = tmp_path / "rejects.jsonl"
    assert dovebeam("archive", "--input", source, "--output", archive, "--rejects", rejects).code == 0
    assert json.loads(rejects.read_text())["payloadString"] == "{broken"
    assert manifest_of(archive)["events"] == 1
    ran = dovebeam("archive", "--input", source, "--output", archive)
    assert ran.code == 1
    assert "--rejects FILE" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--input is missing"),
        (("--input", "x"), "--output is missing"),
        (("--input", "x", "--output", "/nonexistent/place"), "is not a directory; create it"),
        (("--input", "x", "--output", "file:///a"), "is a URL of a file of this machine; write its path, /a"),
        (("--input", "x", "--output", ".", "--run_id", "a/b"), "--run_id: 'a/b' cannot be a part of file names"),
        (("--input", "x", "--output", ".", "--outptu", "."), "did you mean --output?"),
    ],
)
def test_usage(arguments: tuple[str, ...], words: str) -> None:
    """What is wrong, and what to write instead; exit code 2."""
    ran = dovebeam("archive", *arguments)
    assert ran.code == 2
    assert words in ran.err


def test_a_time_that_an_archive_does_not_hold(archive: Path, tmp_path: Path) -> None:
    """It is a reject with the bytes of its line; before, another time was stored."""
    lines = [b'{"event":"x","start_time":9e15}', event(1, 0), b'{"event":"y","fields":{"a_time":-9e15}}']
    source, rejects = write_events(tmp_path, lines), tmp_path / "rejects.jsonl"
    ran = dovebeam("archive", "--input", source, "--output", archive, "--rejects", rejects)
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    assert [base64.b64decode(each["payloadBytes"]) for each in found] == [lines[0], lines[2]]
    assert {each["errorMessage"] for each in found} == {
        "a time is beyond the year 294247, which an archive does not hold (byte 0)"
    }
    assert manifest_of(archive)["events"] == 1
