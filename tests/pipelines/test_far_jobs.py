"""`dovebeam export` and `archive` handed to a runner elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.jobs.commands import (
    dovebeam,
)
from support.jobs.export_command import everything_to
from support.servers.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preview", "p"], "leave --runner out"),
        (["--rejects", "r"], "gs://"),
        (["--ledger", "l"], "--wait"),
    ],
)
def test_local_paths_for_a_far_job(options: list[str], words: str, tmp_path: Path, events: Path) -> None:
    """Files of this machine mean nothing to a job elsewhere."""
    config = everything_to(tmp_path, "drop")
    far = ["--runner=FlinkRunner", "--flink_master=localhost:1"]
    ran = dovebeam("export", "--config", config, "--input", events, *far, *options)
    assert ran.code == 2
    assert words in ran.err


@pytest.mark.parametrize("wait", [False, True])
def test_a_far_job(wait: bool, tmp_path: Path, events: Path) -> None:
    """Another runner's job is named and left alone; only with --wait there is an account."""
    ledger = tmp_path / "ledger.json"
    with gcs_emulator() as gcs:
        options = ["--wait", "--ledger", ledger] if wait else ["--rejects", gcs.uri("rejects.jsonl")]
        command = ["export", "--config", everything_to(tmp_path, "drop"), "--input", events, *options]
        ran = dovebeam(*command, "--runner=support.jobs.far_runner.FarRunner", *PIPELINE_OPTIONS)
    assert ran.code == 0
    assert "dovebeam: job job-17 is running\n" in ran.err
    assert ledger.exists() == ("delivered" in ran.out) == wait


@pytest.mark.parametrize("command", ["export", "archive"])
def test_a_far_job_that_nobody_looks_after(command: str, tmp_path: Path, events: Path) -> None:
    """What it rejects must have a place, since its account is seen by nobody."""
    own = ["--config", everything_to(tmp_path, "drop")] if command == "export" else ["--output", tmp_path]
    ran = dovebeam(command, *own, "--input", events, "--runner=support.jobs.far_runner.FarRunner")
    assert ran.code == 2
    assert "needs a place for its rejects; add --rejects gs://BUCKET/OBJECT, or --wait" in ran.err


def test_a_far_job_that_failed(tmp_path: Path, events: Path) -> None:
    """The runner's word for it is passed on."""
    far = ["--runner=support.jobs.far_runner.FailingRunner", "--wait"]
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events, *far)
    assert ran.code == 1
    assert "the job ended as FAILED" in ran.err
