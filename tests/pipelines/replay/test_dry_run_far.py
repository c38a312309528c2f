"""A dry run elsewhere: its result travels through an object, of which nothing is left, however the job ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jobs.commands import Ran, dovebeam, exporter, metric, write_config, write_events
from support.servers.gcs_emulator import GcsEmulator, gcs_emulator
from support.servers.gcs_faults import gcs_faults

_EVENT = b'{"event":"x","end_time":"2026-01-02T03:04:05.000000Z"}'


@pytest.fixture(scope="module")
def bucket() -> Iterator[GcsEmulator]:
    """An object store with one bucket."""
    with gcs_emulator() as found:
        yield found


def run(folder: Path, bucket: GcsEmulator, runner: str) -> Ran:
    """A dry run of three events by a runner that is elsewhere."""
    config = write_config(folder, exporter("out", "drop"), metric("all", "event=x", "out"))
    return dovebeam(
        *("replay", "--config", config, "--input", write_events(folder, [_EVENT] * 3), "--dry_run"),
        *("--ledger", folder / "ledger.json", "--wait", f"--runner=support.jobs.far_runner.{runner}"),
        *("--temp_location", bucket.uri("tmp"), "--project=test", "--no_auth"),
    )


@pytest.mark.parametrize(("runner", "code"), [("FarRunner", 0), ("FailingRunner", 1)])
def test_nothing_is_left(tmp_path: Path, bucket: GcsEmulator, runner: str, code: int) -> None:
    """A job that is done has shown its numbers, one that failed says why; neither leaves its object."""
    ran = run(tmp_path, bucket, runner)
    assert ran.code == code
    assert bucket.names() == []
    if code == 0:
        assert json.loads((tmp_path / "ledger.json").read_text())["sums"][0]["events"] == 3
    else:
        assert "the job ended as FAILED" in ran.err


def test_object_that_stays_is_named(tmp_path: Path, bucket: GcsEmulator) -> None:
    """A store that refuses to delete costs nothing but a warning that names the object."""
    with gcs_faults(bucket, lambda method, path: method == "DELETE" or path.startswith("/batch")) as faults:
        ran = run(tmp_path, bucket, "FarRunner")
    assert faults.refused
    assert ran.code == 0
    (left,) = bucket.names()
    assert f"warning: {bucket.uri(left)} could not be removed" in ran.err


@pytest.mark.parametrize("extra", [(), ("--template_location=gs://bucket/template", "--wait")])
def test_a_job_that_nobody_waits_for_is_not_started(
    tmp_path: Path, bucket: GcsEmulator, extra: tuple[str, ...]
) -> None:
    """A dry run elsewhere without its end is refused before anything is started or written."""
    config = write_config(tmp_path, exporter("out", "drop"), metric("all", "event=x", "out"))
    before = bucket.names()
    ran = dovebeam(
        *("replay", "--config", config, "--input", write_events(tmp_path, [_EVENT]), "--dry_run"),
        *(
            "--runner=support.jobs.far_runner.FarRunner",
            "--temp_location",
            bucket.uri("tmp"),
            "--project=test",
            "--no_auth",
        ),
        *extra,
    )
    assert ran.code == 2, ran.err
    assert "--dry_run shows" in ran.err
    assert "is done" not in ran.err
    assert "is running" not in ran.err
    assert bucket.names() == before
