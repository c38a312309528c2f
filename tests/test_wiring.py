"""A pipeline that is put together wrongly fails when it is built, before any worker starts; what can be shown is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.display import DisplayData
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints.decorators import TypeCheckError
from apache_beam.typehints.typehints import normalize

import dovebeam.transforms as public
from dovebeam.transforms import (
    AssignEventTimes,
    Block,
    Config,
    CountExports,
    DecodeEvents,
    DropDriver,
    Event,
    EventRow,
    EventsToRows,
    ExportEvents,
    ExportSum,
    FileDriver,
    FollowRequest,
    FormatEvents,
    Manifest,
    MatchMetric,
    PayloadBatch,
    PullFromPubSub,
    ReadAllFromFiles,
    ReadFromFiles,
    ReadFromFollowedFiles,
    ReadFromPubSub,
    Reject,
    RejectRow,
    RejectsToRows,
    ResendRejects,
    RowsToEvents,
    SubscribeRequest,
    ThrottleBlocks,
    WriteToArchive,
    WriteToExporter,
    WriteToShards,
    load_config,
    parse_filter,
)

CONFIG = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {
  driver = drop
  format = json
}
metric m {
  filter = event=a
  exporter = out
}
"""
SUBSCRIPTION = "projects/example/subscriptions/events"
KINDS = (Block, Event, Reject, PayloadBatch, bytes, str, int, EventRow, RejectRow, tuple[str, Event])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """One metric, one exporter."""
    (tmp_path / "dovecot.conf").write_text(CONFIG)
    return load_config(tmp_path / "dovecot.conf")


# Each transform from elements, what it takes, and what it gives.
STEPS: list[tuple[str, Callable[[Path, Config], beam.PTransform], set[Any], Any]] = [
    ("ReadAllFromFiles", lambda _, __: ReadAllFromFiles(), {str}, Block),
    ("ThrottleBlocks", lambda _, __: ThrottleBlocks(5), {Block}, Block),
    ("DecodeEvents", lambda _, __: DecodeEvents(), {bytes, str, Block}, Event),
    ("AssignEventTimes", lambda _, __: AssignEventTimes(), {Event}, Event),
    ("MatchMetric", lambda _, __: MatchMetric("event=a"), {Event}, Event),
    ("FormatEvents", lambda _, __: FormatEvents(), {Event}, bytes),
    ("EventsToRows", lambda _, __: EventsToRows(), {Event}, EventRow),
    ("RowsToEvents", lambda _, __: RowsToEvents(), {EventRow}, Event),
    ("RejectsToRows", lambda _, __: RejectsToRows(), {Reject}, RejectRow),
    ("WriteToExporter", lambda _, __: WriteToExporter(DropDriver()), {bytes, PayloadBatch}, None),
    (
        "WriteToShards",
        lambda folder, _: WriteToShards(FileDriver(f"{folder}/x", file_writing="shards")),
        {bytes, PayloadBatch},
        Manifest,
    ),
    ("WriteToArchive", lambda folder, _: WriteToArchive(str(folder), run_id="r"), {Block}, Manifest),
    ("ExportEvents", lambda _, config: ExportEvents(config), {Block, Event}, None),
    ("CountExports", lambda _, config: CountExports(config), {Block}, list[ExportSum]),
    ("ResendRejects", lambda _, config: ResendRejects(config), {Block}, None),
]
SOURCES: list[tuple[str, Callable[[Path], beam.PTransform]]] = [
    ("ReadFromFiles", lambda folder: ReadFromFiles(f"{folder}/*.conf")),
    (
        "ReadFromFollowedFiles",
        lambda folder: ReadFromFollowedFiles(FollowRequest.of([f"{folder}/x"], f"{folder}/state")),
    ),
    ("PullFromPubSub", lambda _: PullFromPubSub(SubscribeRequest(SUBSCRIPTION))),
    ("ReadFromPubSub", lambda _: ReadFromPubSub(subscription=SUBSCRIPTION)),
]
NAMES = [step[0] for step in STEPS]


def pipeline() -> beam.Pipeline:
    """One that is never run, with the default options of type checks."""
    return beam.Pipeline("DirectRunner")


def elements(built: beam.Pipeline, kind: Any) -> Any:
    """A collection of elements of a type."""
    return built | beam.Create([], reshuffle=False).with_output_types(kind)


def test_every_public_transform_is_looked_at() -> None:
    """A new transform comes into the tables above."""
    transforms = {
        name
        for name in public.__all__
        if isinstance(value := getattr(public, name), type) and issubclass(value, beam.PTransform)
    }
    assert transforms == {*NAMES, *(name for name, _ in SOURCES)}


@pytest.mark.parametrize(("name", "make", "takes", "gives"), STEPS, ids=NAMES)
def test_steps(
    name: str,
    make: Callable[[Path, Config], beam.PTransform],
    takes: set[Any],
    gives: Any,
    tmp_path: Path,
    config: Config,
) -> None:
    """Each takes the elements that it is for, and what is known to be of another type it refuses when it is applied."""
    for kind in KINDS:
        if kind in takes:
            made = elements(pipeline(), kind) | make(tmp_path, config)
            assert (made is None) == (gives is None)
            assert gives is None or made.element_type == normalize(gives)
        else:
            with pytest.raises((TypeError, TypeCheckError), match=name):
                _ = elements(pipeline(), kind) | make(tmp_path, config)
    _ = elements(pipeline(), Any) | make(tmp_path, config)  # of these Beam knows nothing


@pytest.mark.parametrize(("name", "make"), SOURCES, ids=[name for name, _ in SOURCES])
def test_sources(name: str, make: Callable[[Path], beam.PTransform], tmp_path: Path, config: Config) -> None:
    """A source gives blocks to a pipeline, and refuses elements."""
    assert config
    assert (pipeline() | make(tmp_path)).element_type == Block
    with pytest.raises(TypeError):
        _ = elements(pipeline(), bytes) | make(tmp_path)


def test_rejects_have_their_type(config: Config) -> None:
    """What an error handler gets is known to be rejects, so they are encoded as such."""
    built = pipeline()
    with ErrorHandler(RejectsToRows()) as handler:
        events = elements(built, bytes) | DecodeEvents().with_error_handler(handler)
        _ = events | "export" >> ExportEvents(config).with_error_handler(handler)
    assert handler.output().element_type == RejectRow


def shown(transform: Any) -> dict[str, Any]:
    """What a runner's user interface shows of a step."""
    return {item.key: item.value for item in DisplayData.create_from(transform).items}


def test_display_data(tmp_path: Path) -> None:
    """Read, match, format and write say with which settings they do it."""
    name = b"\xff".decode("utf-8", "surrogateescape")
    assert shown(ReadFromFiles(["/a/*.json", f"/b/{name}"], input_format="json", check_patterns=False)) == {
        "patterns": "/a/*.json, /b/\\xff",
        "input_format": "json",
        "max_line_bytes": 16 * 1024 * 1024,
        "block_bytes": 112 * 1024,
        "shard_bytes": 64 * 1024 * 1024,
    }
    assert shown(ReadAllFromFiles(block_bytes=5))["block_bytes"] == 5
    assert shown(ReadFromFollowedFiles(FollowRequest.of([f"{tmp_path}/x"], f"{tmp_path}/state"))) == {
        "files": f"{tmp_path}/x",
        "state": f"{tmp_path}/state",
    }
    assert shown(PullFromPubSub(SubscribeRequest(SUBSCRIPTION))) == {"subscription": SUBSCRIPTION}
    assert shown(ReadFromPubSub(subscription=SUBSCRIPTION)) == {"subscription": SUBSCRIPTION}
    assert shown(ReadFromPubSub(topic="projects/example/topics/topic")) == {"topic": "projects/example/topics/topic"}
    assert shown(DecodeEvents("json", max_line_bytes=9)) == {"input_format": "json", "max_line_bytes": 9}
    assert shown(MatchMetric("event=a", unnamed=False)) == {"metric": "event=a", "filter": "event=a", "unnamed": False}
    assert shown(MatchMetric(parse_filter("user=x"))) == {"metric": "user=x", "filter": "user=x"}
    assert shown(FormatEvents("tab-text", include=["name", "fields"], fields=["user", "n"], max_string_bytes=7)) == {
        "format": "tab-text",
        "time_format": "rfc3339",
        "include": "name, fields",
        "fields": "user, n",
        "max_string_bytes": 7,
    }
    assert shown(WriteToExporter(DropDriver(), name="out")) == {"driver": "drop"}
    assert shown(ThrottleBlocks(2.5)) == {"per_second": 2.5}
