"""What the end of a job tells beside its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovebeam.pipelines.ledger.closing import rejects_text, unmatching_metrics_text
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


def test_rejects_are_counted_in_words(tmp_path: Path) -> None:
    """A reason that occurred once is not said to have occurred "1 times"."""
    counters = {"read": 1004, "matched": 1004, "matched/m": 1004, "formatted/out": 1004, "rejected/out": 1004}
    counters |= {"reject_reason/gone": 1, "reject_reason/closed": 1003, "rejects_accounted": 1004}
    config = load_config(write_config(tmp_path, exporter("out", "drop"), metric("m", "event=x", "out")))
    text = rejects_text(make_ledger(counters.items(), config, {}))
    assert text.splitlines()[1:3] == ["  1,003 times: closed", "  once: gone"]
