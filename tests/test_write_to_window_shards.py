"""Shards of input without an end: files for windows of event time, by Beam's own watermark and panes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing import test_stream
from apache_beam.utils.timestamp import Timestamp

from dovebeam.pipelines.running.in_process import loopback_workers
from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.drivers.file.routing import PathRouter, WindowRouter
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.event import make_event
from dovebeam.transforms.export_events import ExportEvents
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.shards.committing import manifest_from_json
from dovebeam.transforms.write_to_exporter import WriteToExporter
from support.jobs.commands import exporter, metric, write_config
from support.jobs.engines import prism_server

HOUR = 3600
NOON = 1_795_608_000  # 2026-11-25T12:00:00Z
USEC = 1_000_000


def event(secs: int, number: int, **fields: Any) -> Any:
    """An event that ended at this time."""
    return make_event("e", end_time=secs * USEC, fields={"id": number, **fields})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine that knows panes; of Beam's own in Python, one has none and the other stalls when something is late."""
    with prism_server(tmp_path_factory.mktemp("prism")) as address:
        yield address


def run(engine: str, config: Any, *steps: Sequence[Any] | int, run_id: str = "r") -> None:
    """Runs an export of a stream: lists of events arrive, numbers are times that the watermark reaches."""
    source: Any = test_stream.TestStream().advance_watermark_to(Timestamp(NOON - 24 * HOUR))
    for step in steps:
        if isinstance(step, int):
            source = source.advance_watermark_to(Timestamp(step)).advance_processing_time(1000)
        else:
            source = source.add_elements(list(step))
    flags = ["--streaming", "--runner=PortableRunner", f"--job_endpoint={engine}", "--environment_type=LOOPBACK"]
    options = PipelineOptions(flags)
    with loopback_workers(options, debug=False), beam.Pipeline(options=options) as pipeline:
        events = pipeline | source.advance_watermark_to_infinity()
        _ = events | ExportEvents(config, run_id=run_id)


def shards(base: Path, *settings: str) -> Any:
    """A configuration that writes all events."""
    path = write_config(
        base,
        exporter("archive", "file", "json", f"file_path = {base}/events.json", "file_writing = shards", *settings),
        metric("all", "event=*", "archive"),
    )
    return load_config([path])


HOURLY = ("file_rotate_interval = 1 h", "file_window_delay = 1 min")


def ids(path: Path) -> list[int]:
    """The numbers of the events of a file."""
    return [json.loads(line)["fields"]["id"] for line in path.read_bytes().splitlines()]


def files(base: Path) -> dict[str, list[int]]:
    """What is in all files, by their names without the hash of their content."""
    found = {}
    for path in sorted(base.rglob("*.json")):
        if ".manifest." not in path.name:
            stem, _, count = path.name.rpartition("-of-")
            front, _, number = stem.rpartition("-")
            found[f"{front.rpartition('-')[0]}-{number}-of-{count}"] = ids(path)
    return found


def test_a_window_is_a_file(tmp_path: Path, engine: str) -> None:
    """Events of several bundles, when the watermark has passed the hour and the delay."""
    run(
        engine,
        shards(tmp_path, *HOURLY),
        [event(NOON, 1), event(NOON + HOUR, 2)],
        NOON + HOUR,
        [event(NOON + 5, 3)],
        NOON + HOUR + 60,
        [event(NOON + HOUR + 1, 4)],
    )
    assert files(tmp_path) == {
        "events-20261125T120000Z-r-000-00000-of-00001.json": [1, 3],
        "events-20261125T130000Z-r-000-00000-of-00001.json": [2, 4],
    }
    assert not list(tmp_path.glob(".dovebeam/*/*"))
    manifests = [manifest_from_json(path.read_bytes(), path.name) for path in tmp_path.glob("*.manifest.json")]
    assert sorted((made.state, made.events) for made in manifests) == [("done", 2), ("done", 2)]


def test_late_events_are_in_further_files(tmp_path: Path, engine: str) -> None:
    """However late they are, and nothing that is there is changed."""
    run(
        engine,
        shards(tmp_path, *HOURLY),
        [event(NOON, 1)],
        NOON + 2 * HOUR,
        [event(NOON, 2), event(NOON - 365 * 24 * HOUR, 3), event(-HOUR, 5)],
        NOON + 3 * HOUR,
        [event(NOON + 1, 4)],
        NOON + 4 * HOUR,
    )
    assert files(tmp_path) == {
        "events-19691231T230000Z-r-000-00000-of-00001.json": [5],
        "events-20251125T120000Z-r-000-00000-of-00001.json": [3],
        "events-20261125T120000Z-r-000-00000-of-00001.json": [1],
        "events-20261125T120000Z-r-001-00000-of-00001.json": [2],
        "events-20261125T120000Z-r-002-00000-of-00001.json": [4],
    }


@pytest.mark.parametrize("interval", ["1 s", "7 s", "1 days", "1 weeks"])
def test_windows_of_all_lengths(tmp_path: Path, engine: str, interval: str) -> None:
    """Beam's windows are those of the names: what has one name comes in one pane."""
    config = shards(tmp_path, f"file_rotate_interval = {interval}", "file_window_delay = 3 s")
    run(engine, config, [event(NOON + step * 5000, step) for step in range(100)], NOON + 2_000_000)
    found = files(tmp_path)
    assert all("-r-000-00000-of-00001" in name for name in found)
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(100))


def test_templates(tmp_path: Path, engine: str) -> None:
    """Paths from fields are written in several panes of a window, without mixing them."""
    config = shards(tmp_path, *HOURLY, "file_path_template = %Y/{user}.json")
    (tmp_path / "events.json").mkdir()
    users = [f"user{number % 20}" for number in range(60)]
    run(engine, config, [event(NOON, number, user=user) for number, user in enumerate(users)], NOON + 2 * HOUR)
    found = files(tmp_path / "events.json")
    assert len(found) == 20
    assert found["user3-20261125T120000Z-r-000-00000-of-00001.json"] == [3, 23, 43]
    assert 1 < len(list((tmp_path / "events.json").glob("*.manifest.json"))) <= 8


def test_a_second_run_of_the_same_name(tmp_path: Path, engine: str) -> None:
    """Another job of the same name replaces nothing, since its panes hold something else."""
    for number in (1, 2):
        run(engine, shards(tmp_path, *HOURLY), [event(NOON, number)], NOON + 2 * HOUR)
    assert sorted(len(ids(path)) for path in tmp_path.glob("events-*-of-*.json")) == [1, 1]


def test_windows_are_needed(tmp_path: Path, engine: str) -> None:
    """A file of a stream without windows would never get its name; that is told when the pipeline is built."""
    with pytest.raises(ValueError, match="this input has no end; add file_rotate_interval"):
        run(engine, shards(tmp_path), [event(NOON, 1)])


def test_payloads_need_their_events(tmp_path: Path) -> None:
    """Formatted payloads do not say in which window they belong: an error that says what does."""
    driver = FileDriver(f"{tmp_path}/x.json", file_writing="shards", file_rotate_interval_msec=1000)
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
    stream = test_stream.TestStream().add_elements([PayloadBatch([b"x"])]).advance_watermark_to_infinity()
    _ = pipeline | stream | WriteToExporter(driver)
    with pytest.raises(DeliveryError, match="export them with ExportEvents"):
        pipeline.run().wait_until_finish()


def test_the_window_of_a_path() -> None:
    """The router tells the window even where the name has lost it to a hash."""
    router = WindowRouter(PathRouter("{user}.json", window_secs=HOUR))
    place = router.route(event(NOON + 5, 1, user="u" * 300))
    assert place.startswith(f"{NOON}:uuu")
    assert "20261125T120000Z" not in place
