"""What the end of a job tells beside its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.pipelines.ledger.closing import unmatching_metrics_text
from dovebeam.pipelines.ledger.ledger import make_ledger
from dovebeam.transforms import load_config
from support.jobs.commands import exporter, metric, write_config

MATCHED = {"read": 5, "matched": 2, "unmatched": 3, "matched/m0": 2, "formatted/out": 2, "delivered/out": 2}


@pytest.mark.parametrize(
    ("counters", "metrics", "inputs", "expected"),
    [
        (MATCHED, 2, ["a b.json"], "--config=d.conf '--input=a b.json' --explain --metric=m1"),
        (MATCHED, 2, ["gs://b/x"], "m1; to see why: dovebeam check --explain"),
        (MATCHED, 2, [f"{number}.avro" for number in range(6)], "m1; to see why: dovebeam check --explain"),
        (
            MATCHED,
            14,
            ["e"],
            "m1, m2, m3, m4, m5, m6, m7, m8, m9, m10 and 3 more; to see why: dovebeam check --config=d.conf --input=e --explain",
        ),
        (MATCHED, 1, ["e"], ""),
        ({"read": 2, "undecodable": 2}, 1, ["e"], ""),
    ],
)
def test_metrics_that_matched_nothing(
    counters: dict[str, int],
    metrics: int,
    inputs: list[str],
    expected: str,
    tmp_path: Path,
) -> None:
    """They are named with the command that explains them; nothing is said where all matched or no event was read."""
    blocks = [metric(f"m{index}", "event=x", "out") for index in range(metrics)]
    ledger = make_ledger(counters.items(), load_config(write_config(tmp_path, exporter("out", "drop"), *blocks)), {})
    text = unmatching_metrics_text(ledger, ["d.conf"], inputs)
    assert text.startswith("warning: ") == bool(text)
    assert text.endswith(expected)
