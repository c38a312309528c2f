"""Input of which a part cannot be read: everything else is exported, and the job says what is missing."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.pipelines.terminal.exit_codes import ExitCode
from support.jobs.commands import Ran, dovebeam, exporter, metric, write_config

WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def event(number: int) -> bytes:
    """A line of an event that is told by its number."""
    return json.dumps({"event": "e", "fields": {"n": number}}).encode() + b"\n"


EVENTS = b"".join(map(event, range(50)))


class Place:
    """A folder with input, and an export of all of it to one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.input = folder / "in"
        self.input.mkdir()
        path = f"file_path = {folder}/out"
        self.config = write_config(folder, exporter("out", "file", "json", path), metric("m", "event=e", "out"))

    def export(self, *options: object) -> Ran:
        """Runs the export; with rejects and a ledger."""
        files = ("--rejects", self.folder / "rejects", "--ledger", self.folder / "ledger")
        return dovebeam("export", "--config", self.config, "--input", f"{self.input}/*", *files, *options)

    def numbers(self) -> list[int]:
        """Which events arrived."""
        lines = (self.folder / "out").read_bytes().splitlines()
        return sorted(int(json.loads(line)["fields"]["n"]) for line in lines)

    def rejects(self) -> list[dict[str, object]]:
        """What was rejected."""
        path = self.folder / "rejects"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def ledger(self) -> dict[str, object]:
        """The account."""
        return json.loads((self.folder / "ledger").read_bytes())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """See there."""
    return Place(tmp_path)


@pytest.mark.parametrize("workers", [(), WORKERS], ids=["one", "two"])
def test_one_damaged_file_among_twenty(place: Place, workers: tuple[str, ...]) -> None:
    """All others are exported, and what stands before the damage; its rest is one reject; the job exits with 1."""
    for number in range(20):
        (place.input / f"{number}.gz").write_bytes(
            gzip.compress(b"".join(map(event, range(number * 9, number * 9 + 9))))
        )
    whole = zlib.decompressobj(31).decompress((place.input / "7.gz").read_bytes()[:-12])
    (place.input / "7.gz").write_bytes((place.input / "7.gz").read_bytes()[:-12])
    ran = place.export(*workers)
    lines = whole.count(b"\n")
    assert ran.code == ExitCode.FAILED
    assert place.numbers() == [n for n in range(180) if not 63 + lines <= n < 72]
    (reject,) = place.rejects()
    assert (reject["sourceUri"], reject["sourceOffset"]) == (f"{place.input}/7.gz", whole.rfind(b"\n") + 1)
    assert "the gzip data is cut off" in str(reject["errorMessage"])
    assert place.ledger()["damaged"] == [f"{place.input}/7.gz"]
    assert place.ledger()["imbalances"] == []
    assert "1 of the input files are damaged" in ran.err


def test_names_that_are_not_utf_8(place: Place) -> None:
    """They are read, and stand in rejects, the ledger and messages with the bytes that are no text in hexadecimal."""
    for name, content in ((b"caf\xe9", EVENTS), (b"t\xff.gz", gzip.compress(EVENTS)[:-3]), (b"x\xfe", b"no event\n")):
        with open(os.fsencode(place.input) + b"/" + name, "wb") as file:
            file.write(content)
    ran = place.export()
    assert ran.code == ExitCode.FAILED
    assert place.numbers() == sorted([*range(50)] * 2)
    assert {reject["sourceUri"] for reject in place.rejects()} == {f"{place.input}/t\\xff.gz", f"{place.input}/x\\xfe"}
    assert place.ledger()["damaged"] == [f"{place.input}/t\\xff.gz"]
    assert "t\\xff.gz" in ran.err


@pytest.mark.parametrize("workers", [(), WORKERS], ids=["one", "two"])
def test_zero_bytes_are_skipped_and_counted(place: Place, workers: tuple[str, ...]) -> None:
    """Before, between and behind lines, in plain and in compressed files; in the ledger, and with a warning."""
    hole = 40 * 1024 * 1024
    with (place.input / "hole").open("wb") as file:
        file.truncate(hole)
        file.seek(hole)
        file.write(EVENTS[: len(EVENTS) // 2] + bytes(7) + b"\n" + bytes(5))
    (place.input / "nothing").write_bytes(bytes(100))
    (place.input / "packed.gz").write_bytes(gzip.compress(bytes(1000) + event(50) + event(51) + bytes(11)))
    ran = place.export("--max_line_bytes=1M", *workers)
    assert ran.code == ExitCode.DONE, ran.err
    assert place.ledger()["nul_bytes"] == hole + 7 + 5 + 100 + 1000 + 11
    assert "NUL bytes skipped" in ran.out
    assert place.numbers()[-2:] == [50, 51]
    if not workers:  # what other processes say goes to the real standard error
        assert f"{place.input}/hole: {hole} NUL bytes before byte {hole} are skipped" in ran.err


def test_a_vanished_file_is_a_reject(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a rotation took away between matching and reading stops nothing."""
    from dovebeam.transforms import read_from_files

    (place.input / "a").write_bytes(EVENTS)
    (place.input / "b").write_bytes(EVENTS)
    opened = read_from_files.open_file

    def open_file(uri: str, location: str) -> object:
        (place.input / "a").unlink(missing_ok=True)
        return opened(uri, location)

    monkeypatch.setattr(read_from_files, "open_file", open_file)
    ran = place.export()
    assert ran.code == ExitCode.FAILED
    assert place.numbers() == [*range(50)]
    (reject,) = place.rejects()
    assert reject["sourceUri"] == f"{place.input}/a"
    assert "was removed or renamed after the job began" in str(reject["errorMessage"])


def test_without_rejects_the_job_runs_to_its_end(place: Place) -> None:
    """As with lines: everything else is done, and the reason is shown."""
    (place.input / "a").write_bytes(EVENTS)
    (place.input / "b").write_bytes(gzip.compress(b"{}")[:-1])
    ran = dovebeam("export", "--config", place.config, "--input", f"{place.input}/*")
    assert ran.code == ExitCode.FAILED
    assert place.numbers() == [*range(50)]
    assert "the gzip data is cut off" in ran.err


def test_archive_and_check_go_on_behind_damage(place: Place) -> None:
    """The other commands that read files do the same."""
    (place.input / "a").write_bytes(EVENTS)
    (place.input / "b").write_bytes(gzip.compress(EVENTS)[:-1])
    (place.folder / "archive").mkdir()
    ran = dovebeam("archive", "--input", f"{place.input}/*", "--output", place.folder / "archive")
    assert ran.code == ExitCode.FAILED
    assert "read          101" in ran.out
    ran = dovebeam("check", "--config", place.config, "--input", f"{place.input}/*")
    assert ran.code == ExitCode.FAILED
    assert "101" in ran.out
    assert f"{place.input}/b" in ran.err
