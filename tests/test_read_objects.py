"""`ReadFromFiles` on objects of a store."""

import gzip
import itertools
from collections.abc import Iterator

import apache_beam as beam
import pytest
import zstandard
from apache_beam.testing.util import assert_that, equal_to

from dovebeam.transforms.read_from_files import ReadFromFiles
from dovebeam.transforms.sources import SourceError
from support.read_blocks import SMALL, avro_file, run
from support.servers.gcs_emulator import PIPELINE_OPTIONS, GcsEmulator, gcs_emulator
from support.servers.google_metadata import run_cloud


@pytest.fixture(scope="module")
def gcs() -> Iterator[GcsEmulator]:
    """An emulator with a few objects."""
    with gcs_emulator() as emulator:
        plain = b"".join(b'{"n":%d}\n' % number for number in range(20_000))
        emulator.put(
            {
                "day/": b"",
                "day/plain.json": plain,
                "day/packed": gzip.compress(SMALL),
                "day/frames": zstandard.compress(SMALL),
                "day/records": avro_file(),
                "cut/x.gz": gzip.compress(plain)[:-9],
            }
        )
        yield emulator


@pytest.mark.parametrize("pattern", ["day/*", "day/", "d**"])
def test_objects_of_every_kind(gcs: GcsEmulator, pattern: str) -> None:
    """Plain ones in shards, compressed ones and Avro; objects that stand for folders are passed over."""
    blocks = run(gcs.uri(pattern), options=PIPELINE_OPTIONS, shard_bytes=70_000)
    content = {
        uri: b"".join(block.data for block in found) for uri, found in itertools.groupby(blocks, lambda b: b.uri)
    }
    assert content.pop(gcs.uri("day/plain.json")) == gcs.get("day/plain.json")
    assert content.pop(gcs.uri("day/packed")) == content.pop(gcs.uri("day/frames")) == SMALL
    assert list(content) == [gcs.uri("day/records")]


def test_objects_in_parallel_processes(gcs: GcsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of their own read shards of one object, with the credentials of their machine."""
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing", *PIPELINE_OPTIONS]
    expected = run(gcs.uri("day/plain.json"), options=PIPELINE_OPTIONS)
    with run_cloud() as cloud:
        monkeypatch.delenv("NO_GCE_CHECK")
        for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"):
            monkeypatch.setenv(name, cloud.environment[name])
        with beam.Pipeline(argv=["--runner=DirectRunner", *options]) as pipeline:
            assert_that(pipeline | ReadFromFiles(gcs.uri("day/plain.json"), shard_bytes=70_000), equal_to(expected))


def test_errors_of_objects(gcs: GcsEmulator) -> None:
    """A missing object, a missing bucket and a cut-off object are named."""
    for uri in (gcs.uri("none"), gcs.uri("none*"), "gs://nobucket/x"):
        with pytest.raises(SourceError, match="no file matches gs://"):
            run(uri, options=PIPELINE_OPTIONS)
    *_, last = run(gcs.uri("cut/*"), options=PIPELINE_OPTIONS)
    assert last.uri == gcs.uri("cut/x.gz")
    assert "the gzip data is cut off" in last.damage
