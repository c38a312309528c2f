"""The command lines of docs/runners.md, and what would be sent to runners that cannot be reached."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms.environments import DockerEnvironment

from dovebeam.pipelines.export.export_job import build_export
from dovebeam.pipelines.export.options import ExportOptions, add_arguments, parse_export
from dovebeam.pipelines.options.beam import is_local_job, make_beam_options
from dovebeam.transforms import load_config
from support.jobs.commands import exporter, metric, write_config, write_events

PAGE = Path(__file__).parents[2] / "docs" / "runners.md"
HERE = [True, True, True, True, False, True, False, False]
RUNNERS = [
    "None",
    "None",
    "PrismRunner",
    "PortableRunner",
    "PortableRunner",
    "FlinkRunner",
    "FlinkRunner",
    "DataflowRunner",
]


def documented() -> list[list[str]]:
    """The words of every command of the page."""
    blocks = PAGE.read_text().split("```sh\n")[1:]
    text = "\n".join(block.split("```")[0] for block in blocks).replace("\\\n", " ")
    return [words for words in map(shlex.split, text.splitlines()) if words[1:2] == ["export"]]


@pytest.mark.parametrize("number", range(len(HERE)))
def test_documented(number: int) -> None:
    """Each is understood as the page says, down to where the job runs."""
    commands = documented()
    assert len(commands) == len(HERE)
    words = commands[number]
    assert words[:2] == ["dovebeam", "export"]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    options = make_beam_options(parse_export(parser, words[2:]).beam)
    assert str(options.view_as(StandardOptions).runner) == RUNNERS[number]
    assert is_local_job(options) == HERE[number]


def dataflow_graph(folder: Path) -> beam_runner_api_pb2.Pipeline:
    """What Beam would hand to Dataflow, with all drivers and the rejects."""
    config = load_config(
        [
            write_config(
                folder,
                exporter("a", "file", "json", f"file_path = {folder}/a"),
                exporter("b", "http-post", "json", "http_post_url = https://collector.example/x"),
                exporter("c", "log", "tab-text"),
                *(metric(f"m{name}", "event=*", name) for name in "abc"),
            )
        ]
    )
    words = ["--runner=DataflowRunner", "--project=p", "--region=r", "--temp_location=gs://b/t"]
    beam_options = make_beam_options(words)
    assert not is_local_job(beam_options)
    events = write_events(folder, [b'{"event":"x"}'])
    pipeline = beam.Pipeline(
        runner="DirectRunner", options=PipelineOptions()
    )  # Dataflow's own wants its client library
    build_export(pipeline, ExportOptions(("c",), (str(events),), rejects="gs://b/rejects.jsonl"), config)
    return pipeline.to_runner_api(default_environment=DockerEnvironment.from_container_image("image"))


def test_dataflow_graph(tmp_path: Path) -> None:
    """The graph is whole: every step in it, within Dataflow's limit for a job, its workers in containers."""
    graph = dataflow_graph(tmp_path)
    names = {transform.unique_name for transform in graph.components.transforms.values()}
    for name in "abc":
        assert any(f"Deliver to {name}" in step for step in names)
    assert any("Rejects" in step for step in names)
    assert graph.ByteSize() < 10 << 20
    (environment,) = {each.urn for each in graph.components.environments.values() if each.urn}
    assert environment == "beam:env:docker:v1"
    assert not graph.requirements or set(graph.requirements) <= {"beam:requirement:pardo:splittable_dofn:v1"}
