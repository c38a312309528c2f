"""The end of a job: the account is shown, then written, and says when it is not complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dovebeam.pipelines.ledger.closing import close_job, close_unfinished, counters_so_far
from dovebeam.pipelines.ledger.ledger import Ledger, make_ledger
from dovebeam.transforms import counters as counting
from dovebeam.transforms import load_config, progress
from dovebeam.transforms.progress import JobMonitor
from support.jobs.commands import exporter, metric, write_config


def account(folder: Path, counters: dict[str, int], metrics: int = 2) -> Ledger:
    """A ledger of metrics `m0`, `m1` ... of one exporter."""
    blocks = [metric(f"m{index}", "event=x", "out") for index in range(metrics)]
    return make_ledger(counters.items(), load_config(write_config(folder, exporter("out", "drop"), *blocks)), {})


MATCHED = {"read": 5, "matched": 2, "unmatched": 3, "matched/m0": 2, "formatted/out": 2, "delivered/out": 2}


def test_a_full_disk_costs_only_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The account is on the terminal although it cannot be written; the job counts as failed and says why."""
    assert close_job(account(tmp_path, MATCHED), "/dev/full/ledger.json", are_rejects_kept=False) == 1
    out, err = capsys.readouterr()
    assert "unmatched" in out
    assert "the ledger was not written" in err
    assert "/dev/full/ledger.json" in err


def test_an_unfinished_job_has_an_account(tmp_path: Path) -> None:
    """What was in hand is in no number, which is no imbalance there; `complete` tells the two apart."""
    path = tmp_path / "ledger.json"
    close_unfinished(account(tmp_path, MATCHED | {"delivered/out": 1}), str(path), show=False)
    written = json.loads(path.read_text())
    assert (written["complete"], written["delivered"], written["imbalances"]) == (False, 1, [])
    assert close_job(account(tmp_path, MATCHED), str(path), are_rejects_kept=False) == 0
    assert json.loads(path.read_text())["complete"] is True


def test_counters_so_far() -> None:
    """What has arrived of a batch on its way counts as delivered, until the batch itself is counted."""
    monitor = JobMonitor()
    with monitor:
        counting.add("delivered", 4, "out")
        progress.recount(f"{counting.ARRIVING}/out", 3)
        assert dict(sum_up(monitor)) == {"delivered/out": 7}
        progress.recount(f"{counting.ARRIVING}/out", 0)
        counting.add("delivered", 5, "out")
    assert dict(sum_up(monitor)) == {"delivered/out": 9}


def sum_up(monitor: JobMonitor) -> dict[str, int]:
    """Counters by name."""
    sums: dict[str, int] = {}
    for name, value in counters_so_far(monitor):
        sums[name] = sums.get(name, 0) + value
    return sums
