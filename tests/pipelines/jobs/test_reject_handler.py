"""Rejects are consumed while the steps that make them still run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam

from dovebeam.pipelines.jobs.reject_sink import CountRejects, FusedErrorHandler, WriteRejects, reject_handler
from dovebeam.transforms.error_handling import RejectingTransform
from dovebeam.transforms.events.reject import Reject, make_reject
from support.jobs.pipelines import pipeline
from support.servers.gcs_emulator import PIPELINE_OPTIONS, gcs_emulator
from support.servers.gcs_faults import gcs_faults

_SIZE = 600_000


class Refuse(RejectingTransform):
    """Rejects everything, and says how much the file of rejects held by then."""

    def __init__(self, path: Path, seen: Path) -> None:
        super().__init__()
        self._paths = path, seen

    def expand(self, numbers: Any) -> None:
        self.route_rejects(numbers | beam.ParDo(_RefuseFn(*self._paths)))


@beam.typehints.with_output_types(Reject)
class _RefuseFn(beam.DoFn):
    def __init__(self, path: Path, seen: Path) -> None:
        self._path = path
        self._seen = seen

    def process(self, number: int) -> Iterable[Any]:
        with self._seen.open("a") as seen:
            seen.write(f"{self._path.stat().st_size if self._path.exists() else 0}\n")
        yield make_reject("deliver", b"%06d" % number * (_SIZE // 6), "refused")


def test_rejects_do_not_wait_for_the_end_of_their_step(tmp_path: Path) -> None:
    """Of twenty large rejects of a step some are written before the last one is made."""
    path, seen = tmp_path / "rejects.json", tmp_path / "seen"
    with pipeline() as (p, counters), FusedErrorHandler("Rejects", WriteRejects(str(path))) as handler:
        _ = p | beam.Create(range(20), reshuffle=False) | Refuse(path, seen).with_error_handler(handler)
    sizes = [int(line) for line in seen.read_text().split()]
    assert sizes[0] == 0
    assert sizes[-1] > 10 * _SIZE
    assert len(path.read_bytes().splitlines()) == counters["rejects_accounted"] == 20


def test_rejects_are_on_their_way_to_an_object_before_the_end_of_their_step(tmp_path: Path) -> None:
    """A part of them has been uploaded before the last one is made, so they are not all in memory."""
    uploads, seen = tmp_path / "uploads", tmp_path / "seen"

    def note(_method: str, path: str) -> bool:
        if "/upload/" in path:
            with uploads.open("a") as file:
                file.write("x")
        return False

    with gcs_emulator() as bucket, gcs_faults(bucket, note):
        with pipeline(*PIPELINE_OPTIONS) as (p, counters), reject_handler(bucket.uri("rejects.json")) as handler:
            _ = p | beam.Create(range(25), reshuffle=False) | Refuse(uploads, seen).with_error_handler(handler)
        assert len(bucket.get("rejects.json").splitlines()) == counters["rejects_accounted"] == 25
    requests = [int(line) for line in seen.read_text().split()]
    assert (requests[0], requests[-1] > 1) == (0, True)


def test_several_steps_have_one_consumer_each(tmp_path: Path) -> None:
    """The labels differ, and all rejects are counted."""
    path, seen = tmp_path / "rejects.json", tmp_path / "seen"
    with pipeline() as (p, counters), FusedErrorHandler("Rejects", CountRejects()) as handler:
        numbers = p | beam.Create(range(3), reshuffle=False)
        for name in ("A", "B"):
            _ = numbers | name >> Refuse(path, seen).with_error_handler(handler)
    assert counters["rejects_accounted"] == 6
