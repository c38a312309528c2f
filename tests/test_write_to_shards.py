"""Shards as steps of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.errors import DeliveryError, DriverSettingError
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.shard_steps import Account, ClearFn, CommitFn
from dovebeam.transforms.shards.committing import Manifest, manifest_from_json
from dovebeam.transforms.shards.pieces import WrittenFile
from dovebeam.transforms.write_to_exporter import WriteToExporter
from dovebeam.transforms.write_to_shards import WriteToShards, shard_settings
from support.jobs.pipelines import Counters, pipeline

LINES = [b"%04d" % number for number in range(1000)]


def driver(base: Path, **settings: Any) -> FileDriver:
    """A driver of shards in a directory."""
    return FileDriver(f"{base}/events.json", file_writing="shards", **settings)


def batches(size: int) -> list[PayloadBatch]:
    """The lines with their origin, so many together."""
    return [
        PayloadBatch(LINES[begin : begin + size], ["m"] * size, list(range(begin, begin + size)), "in.json")
        for begin in range(0, len(LINES), size)
    ]


def files(base: Path) -> dict[str, bytes]:
    """The files of a run, without its manifest."""
    return {path.name: path.read_bytes() for path in sorted(base.iterdir()) if path.name.startswith("events")}


def manifest(base: Path, name: str = "file-r.manifest.json") -> Manifest:
    """The manifest of the run."""
    return manifest_from_json((base / name).read_bytes(), name)


def deliver(base: Path, elements: Sequence[Any], run_id: str = "r", **settings: Any) -> Counters:
    """Runs `WriteToExporter` over elements; its counters."""
    with pipeline() as (built, counters):
        _ = built | beam.Create(elements) | WriteToExporter(driver(base, **settings), name="file", run_id=run_id)
    return counters


def test_bundles_do_not_matter(tmp_path: Path) -> None:
    """However elements are shuffled among bundles, names and bytes are those of the source's order."""
    made = []
    for number, shuffle in enumerate([beam.Map(lambda batch: batch), beam.Reshuffle(num_buckets=7)]):
        base = tmp_path / str(number)
        base.mkdir()
        with pipeline() as (built, _):
            shards = WriteToExporter(driver(base, file_rotate_size=1500), name="file", run_id="r")
            _ = built | beam.Create(batches(10)[::-1]) | shuffle | shards
        made.append(files(base))
    assert made[0] == made[1]
    assert next(iter(made[0])) == "events-r-00000-of-00004.json"
    assert list(made[0].values()) == [
        b"".join(line + b"\n" for line in LINES[begin : begin + 300]) for begin in range(0, 1000, 300)
    ]


def test_manifest_and_counters(tmp_path: Path) -> None:
    """The manifest counts what the files have, and the counters what was delivered."""
    counters = deliver(tmp_path, batches(10), file_compression="gzip")
    [file] = manifest(tmp_path).files
    assert (file.name, file.events) == ("events-r-00000-of-00001.json.gz", 1000)
    assert file.bytes == (tmp_path / file.name).stat().st_size
    assert counters == {"delivered/file": 1000, "delivered_bytes/file": 4000, "files/file": 1}


def test_payloads_without_origin(tmp_path: Path) -> None:
    """Bytes of any pipeline are written, each once."""
    deliver(tmp_path, LINES)
    [content] = files(tmp_path).values()
    assert sorted(content.splitlines()) == LINES


def test_no_run_id(tmp_path: Path) -> None:
    """A pipeline that names no run makes new files each time."""
    deliver(tmp_path, batches(100), run_id="")
    deliver(tmp_path, batches(100), run_id="")
    assert len(files(tmp_path)) == 2


def test_no_payloads(tmp_path: Path) -> None:
    """A run that has nothing says so, and takes its earlier files away."""
    deliver(tmp_path, batches(100))
    assert len(files(tmp_path)) == 1
    with pipeline() as (built, _):
        nothing = built | beam.Create(batches(100)) | beam.Filter(lambda _: False)
        _ = nothing | WriteToExporter(driver(tmp_path), name="file", run_id="r")
    assert files(tmp_path) == {}
    assert manifest(tmp_path).files == ()
    assert [path.name for path in tmp_path.iterdir()] == ["file-r.manifest.json"]


def test_windows(tmp_path: Path) -> None:
    """A bounded input may have windows; the run is one all the same."""
    with pipeline() as (built, _):
        timed = built | beam.Create(batches(10)) | beam.Map(lambda batch: TimestampedValue(batch, batch.offsets[0]))
        windows = timed | beam.WindowInto(FixedWindows(100))
        _ = windows | WriteToExporter(driver(tmp_path), name="file", run_id="r")
    [content] = files(tmp_path).values()
    assert content.splitlines() == LINES


def test_input_without_an_end(tmp_path: Path) -> None:
    """Its job would never name a file, and is refused when the pipeline is built."""
    built = beam.Pipeline(runner=FnApiRunner())
    with pytest.raises(ValueError, match="this input has no end"):
        _ = built | test_stream.TestStream() | WriteToExporter(driver(tmp_path), name="file")


def test_manifest_as_output(tmp_path: Path) -> None:
    """`WriteToShards` tells a pipeline what it has made."""

    def check(found: list[Manifest]) -> None:
        assert found == [manifest(tmp_path, "x-r.manifest.json")]

    with pipeline() as (built, _):
        made = built | beam.Create(batches(10)) | WriteToShards(driver(tmp_path), name="x", run_id="r")
        assert_that(made, check)


def test_only_a_driver_of_shards(tmp_path: Path) -> None:
    """A driver that appends makes no shards; the error says what to set."""
    with pytest.raises(DriverSettingError, match="makes no shards; set it to shards"):
        WriteToShards(FileDriver(f"{tmp_path}/x"))


def test_template_without_events(tmp_path: Path) -> None:
    """Formatted payloads do not say where they belong: an error that says what does."""
    routed = FileDriver(str(tmp_path), file_writing="shards", file_path_template="{user}.json")
    built = beam.Pipeline(runner=FnApiRunner())
    _ = built | beam.Create(LINES[:3]) | WriteToExporter(routed)
    with pytest.raises(DeliveryError, match="need the events; export them with ExportEvents"):
        built.run()
    assert not list(tmp_path.glob("*.json"))


def test_missing_directory(tmp_path: Path) -> None:
    """It is told before anything is written."""
    with pytest.raises(DeliveryError, match=r"no/.dovebeam/r-file\) failed: .*directories are not created"):
        deliver(tmp_path / "no", batches(10))


def test_what_a_failed_run_left(tmp_path: Path) -> None:
    """It goes when the run is tried again, before there is more of it; what other runs have does not."""
    left = [tmp_path / ".dovebeam" / run / "a.part" for run in ("r-file", "s-file")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"left")
    settings = shard_settings(driver(tmp_path), "file", "r")
    [cleared] = ClearFn(settings).process(settings.layout.temporary)
    assert cleared == settings.layout.temporary
    assert [path.exists() for path in left] == [False, True]
    left[0].parent.mkdir()
    left[0].write_bytes(b"left")
    deliver(tmp_path, batches(100))
    assert [path.exists() for path in left] == [False, True]


def test_bad_run_id(tmp_path: Path) -> None:
    """What cannot be a part of names is refused when the pipeline is built."""
    with pytest.raises(DriverSettingError, match="cannot be a part of file names"):
        WriteToExporter(driver(tmp_path), run_id="../x")


FILE = WrittenFile("a", ".dovebeam/r-x/a.file", 3, 5, "00ff")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([FILE, FILE, Account(3, 1)], "3 events in 1 files were expected, 6 in 2 found"),
        ([FILE, Account(3, 1), Account(2, 1)], "5 events in 2 files were expected, 3 in 1 found"),
        ([Account(3, 1)], "3 events in 1 files were expected, 0 in 0 found"),
        ([FILE, Account(0, 1), Account(3, 0), Account(3, 0)], "6 events in 1 files were expected, 3 in 1 found"),
    ],
)
def test_what_a_runner_lost_or_repeated(tmp_path: Path, found: list[Any], words: str) -> None:
    """Such a job does not end as done, and nothing has its name."""
    commit = CommitFn(shard_settings(driver(tmp_path), "x", "r"))
    with pytest.raises(DeliveryError, match=f"{words}; nothing was put in place"):
        list(commit.process(("", found)))
    assert list(tmp_path.iterdir()) == []


def test_error_handler(tmp_path: Path) -> None:
    """It can be given, as to every driver, though nothing is rejected."""
    with pipeline() as (built, _), ErrorHandler(beam.Map(lambda reject: reject)) as handler:
        shards = WriteToExporter(driver(tmp_path), name="file", run_id="r").with_error_handler(handler)
        _ = built | beam.Create(batches(100)) | shards
    assert len(files(tmp_path)) == 1
