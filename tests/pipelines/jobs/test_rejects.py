"""Where rejects go."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import apache_beam as beam
import pytest

from dovebeam.pipelines.jobs.outputs import check_rejects_path
from dovebeam.pipelines.jobs.reject_sink import CountRejects, WriteRejects, reject_handler
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.events.reject import Reject, make_reject, reject_from_json
from support.jobs.pipelines import pipeline
from support.servers.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator
from support.servers.gcs_faults import gcs_faults

REJECTS = [
    make_reject("decode", b"{\xff\n", "no event (byte 1)", source_uri="/in", source_offset=7),
    make_reject("decode", b"{", "no event (byte 2)"),
    make_reject("deliver", b"payload", "refused (byte of doubt)", metric="m", exporter="e", http_status=400),
]


def key(reject: Reject) -> tuple[str, bytes]:
    """For comparing in any order."""
    return reject.error_message, reject.payload_bytes


def read(content: bytes) -> list[Reject]:
    """The records of a file."""
    return sorted(map(reject_from_json, content.splitlines()), key=key)


def write(p: beam.Pipeline, path: str, *rejects: Reject) -> None:
    """Adds steps that reject, and what takes their rejects."""
    with reject_handler(path) as handler:
        handler.add_error_pcollection(p | beam.Create(rejects or REJECTS))
        handler.add_error_pcollection(p | "None" >> beam.Create([]).with_output_types(Reject))


def test_local_file(tmp_path: Path) -> None:
    """Every record survives whole; the file is private and appended to."""
    path = tmp_path / "rejects.json"
    for times in (1, 2):
        with pipeline() as (p, counters):
            _ = p | beam.Create(REJECTS) | WriteRejects(str(path))
        assert read(path.read_bytes()) == sorted(REJECTS * times, key=key)
        assert counters["rejects_accounted"] == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_large(tmp_path: Path) -> None:
    """More than a batch is written as it comes."""
    path = tmp_path / "rejects.json"
    large = [make_reject("decode", b"%d" % number * 100_000, "large") for number in range(12)]
    with pipeline() as (p, _):
        _ = p | beam.Create(large) | WriteRejects(str(path))
    assert sorted(reject.content_hash for reject in read(path.read_bytes())) == sorted(r.content_hash for r in large)


def test_a_failure_to_write_fails_the_job(tmp_path: Path) -> None:
    """Rejects that cannot be kept are no longer accounted for."""
    os.symlink(tmp_path / "elsewhere", tmp_path / "link")
    with pytest.raises(DeliveryError, match="symbolic link"), pipeline() as (p, _):
        _ = p | beam.Create(REJECTS) | WriteRejects(str(tmp_path / "link"))


def test_reasons() -> None:
    """Reasons are counted without the place in the line, and with the exporter's name."""
    with pipeline() as (p, counters):
        _ = p | beam.Create(REJECTS) | CountRejects()
    assert counters == {
        "rejects_accounted": 3,
        "reject_reason/no event": 2,
        "reject_reason/e: refused (byte of doubt)": 1,
    }


def test_reasons_without_number() -> None:
    """Texts that quote data do not become counters without end, and none is left uncounted."""
    with pipeline() as (p, counters):
        _ = (
            p
            | beam.Create([make_reject("decode", b"", f"reason {n} {'x' * 1000}") for n in range(200)])
            | CountRejects()
        )
    reasons = {name: count for name, count in counters.items() if name.startswith("reject_reason/")}
    assert sum(reasons.values()) == 200
    assert reasons["reject_reason/other reasons"] > 100
    assert max(map(len, reasons)) < 250


def test_object(tmp_path: Path) -> None:
    """On an object store there is one object, under the name that was asked for."""
    with gcs_emulator() as bucket:
        uri = bucket.uri("rejects.json")
        check_rejects_path(uri)
        with pipeline(*PIPELINE_OPTIONS) as (p, counters):
            write(p, uri)
        assert bucket.names() == ["rejects.json"]
        assert read(bucket.get("rejects.json")) == sorted(REJECTS, key=key)
        assert counters["rejects_accounted"] == 3
        with pytest.raises(DeliveryError, match="exists; name another object"):
            check_rejects_path(uri)


def test_object_without_rejects() -> None:
    """Is there, too, and empty."""
    with gcs_emulator() as bucket:
        with pipeline(*PIPELINE_OPTIONS) as (p, _), reject_handler(bucket.uri("a/rejects.json")) as handler:
            handler.add_error_pcollection(p | beam.Create([]).with_output_types(Reject))
        assert bucket.names() == ["a/rejects.json"]
        assert bucket.get("a/rejects.json") == b""


def test_compressed_object() -> None:
    """As its name says."""
    with gcs_emulator() as bucket:
        with pipeline(*PIPELINE_OPTIONS) as (p, _):
            write(p, bucket.uri("rejects.json.gz"))
        assert bucket.names() == ["rejects.json.gz"]
        assert read(gzip.decompress(bucket.get("rejects.json.gz"))) == sorted(REJECTS, key=key)


_REFUSED = r"gs://mail/\S*rejects\.json\S* cannot be written: 403 Forbidden"


@pytest.mark.parametrize("step", ["upload", "batch"])
def test_store_that_refuses_fails_the_job(step: str) -> None:
    """Neither an upload that is refused, nor a rename that is refused within a batch, ends as a job that is done."""
    with gcs_emulator() as bucket, gcs_faults(bucket, lambda _method, path: path.startswith(f"/{step}/")) as faults:
        with pytest.raises(Exception, match=_REFUSED), pipeline(*PIPELINE_OPTIONS) as (p, _):
            write(p, bucket.uri("rejects.json"))
        assert faults.refused
        assert "rejects.json" not in bucket.names()


def test_check(tmp_path: Path) -> None:
    """A path that cannot be written is told at launch."""
    with pytest.raises(DeliveryError, match="directories are not created"):
        check_rejects_path(str(tmp_path / "missing" / "rejects"))
