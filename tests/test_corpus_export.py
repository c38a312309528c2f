"""The whole corpus through the real configuration and the real drivers, compared with what Dovecot itself delivered."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest
import zstandard
from apache_beam.options.pipeline_options import PipelineOptions

from dovebeam.pipelines.running.in_process import secrets_shared_with_workers
from dovebeam.transforms import Config, ExportEvents, ReadFromFiles
from dovebeam.transforms.codecs import AVRO_SCHEMA, decode_tab, event_to_avro
from dovebeam.transforms.config import make_driver
from support.jobs.pipelines import Counters, pipeline
from support.oracle.corpus import CORPUS, corpus_lines
from support.oracle.corpus_targets import (
    EVENTS,
    Targets,
    check_all_events,
    check_as_multisets,
    check_collector,
    check_files,
    check_http,
    check_log,
    config_for,
    run_targets,
    shown_in_json,
)
from support.servers.gcs_emulator import gcs_emulator


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    """Fresh targets."""
    with run_targets(tmp_path) as fresh:
        yield fresh


def export(config: Config, source: Path | str, *options: str) -> Counters:
    """Runs the export; a reject fails it."""
    drivers = {name: make_driver(exporter) for name, exporter in config.exporters.items()}
    with secrets_shared_with_workers(drivers, PipelineOptions(list(options))), pipeline(*options) as (p, counters):
        _ = p | ReadFromFiles([str(source)]) | ExportEvents(config, drivers=drivers)
    return counters


@pytest.mark.parametrize("source", EVENTS)
def test_the_corpus_with_real_drivers(source: str, targets: Targets, tmp_path: Path) -> None:
    """Whatever form the events are read in, all five kinds of targets get what they got from Dovecot."""
    config = config_for(targets, tmp_path)
    counters = export(config, CORPUS / source)
    known = shown_in_json if "json" in source else bytes
    check_files(config, targets, known)
    check_all_events(targets, known)
    check_http(targets)
    check_collector(targets)
    check_log(targets, known)
    assert counters["read"] == counters["matched"] + counters.get("unmatched", 0)
    for name in {metric.exporter for metric in config.metrics if metric.exporter}:
        assert counters.get(f"formatted/{name}", 0) == counters.get(f"delivered/{name}", 0), name


def test_avro(targets: Targets, tmp_path: Path) -> None:
    """Events that were archived as Avro export to every byte, those that JSON cannot hold included."""
    config = config_for(targets, tmp_path)
    source = tmp_path / "events.avro"
    with source.open("wb") as out:
        records = (event_to_avro(decode_tab(line)) for line in corpus_lines("events.tab.gz"))
        fastavro.writer(out, dict(AVRO_SCHEMA), records, codec="deflate")
    export(config, source)
    check_files(config, targets, bytes)
    check_all_events(targets, bytes)
    check_http(targets)
    check_collector(targets)
    check_log(targets, bytes)


def test_objects_of_a_bucket(targets: Targets, tmp_path: Path) -> None:
    """The same from gs:// objects, plain and compressed ones of one pattern, read as one input."""
    config = config_for(targets, tmp_path)
    lines = [line + b"\n" for line in corpus_lines("events.tab.gz")]
    third = len(lines) // 3
    parts = [b"".join(lines[:third]), b"".join(lines[third : 2 * third]), b"".join(lines[2 * third :])]
    with gcs_emulator() as bucket:
        bucket.put({"in/1.tab": parts[0], "in/2.tab.gz": gzip.compress(parts[1]), "in/3": zstandard.compress(parts[2])})
        counters = export(config, bucket.uri("in/*"), "--project=test", "--no_auth")
    assert counters["read"] == len(lines)
    check_as_multisets(config, targets)


def test_two_processes(targets: Targets, tmp_path: Path) -> None:
    """With two workers in processes of their own every target gets the same, once, in whatever order."""
    config = config_for(targets, tmp_path)
    plain = tmp_path / "events.tab"
    plain.write_bytes(gzip.decompress((CORPUS / "events.tab.gz").read_bytes()))
    export(config, plain, "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    check_as_multisets(config, targets)
    check_http(targets)
    check_log(targets, bytes)
