"""The dry run: counts and bytes by exporter, metric and hour, the same as an export makes them."""

from pathlib import Path

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from dovebeam.transforms.codecs import decode_json
from dovebeam.transforms.config import load_config
from dovebeam.transforms.count_exports import CountExports, ExportSum
from dovebeam.transforms.events.event import TimeRange
from dovebeam.transforms.plan.export_plan import make_plan
from dovebeam.transforms.shards.archive import HourRouter
from dovebeam.transforms.sources import Block
from support.jobs.commands import exporter, metric, write_config
from support.jobs.pipelines import pipeline
from support.oracle.corpus import corpus_lines


def offsets_of_lines(data: bytes) -> list[int]:
    """Where each line begins."""
    offsets = [0]
    for line in data.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    return offsets[:-1]


def test_sums_are_those_of_the_plan(tmp_path: Path) -> None:
    """Over the corpus: events and bytes of every exporter and metric, and the counters of an export."""
    config = load_config(
        [
            write_config(
                tmp_path,
                exporter("a", "drop"),
                exporter("b", "drop", "tab-text"),
                metric("logins", "event=auth_request_finished", "a"),
                metric("imap", "category=imap", "b"),
                metric("slow", "duration>1000", "a"),
            )
        ]
    )
    data = b"".join(line + b"\n" for line in corpus_lines("events.json.gz")[:5000])
    whole = make_plan(config).export_block(Block("f", 0, data, "json"))
    with pipeline() as (built, counters):
        sums = built | beam.Create([Block("f", 0, data, "json")]) | CountExports(config)
        expected: dict[tuple[str, str, str], list[int]] = {}
        router = HourRouter()
        lines = dict(zip(offsets_of_lines(data), data.splitlines(), strict=True))
        for name, batch in whole.batches.items():
            for payload, of, offset in zip(batch.payloads, batch.metrics, batch.offsets, strict=True):
                key = name, of, router.route(decode_json(lines[offset]))
                found = expected.setdefault(key, [0, 0])
                found[0] += 1
                found[1] += len(payload)
        rows = sorted(ExportSum(*key, *found) for key, found in expected.items())
        assert len({row.metric for row in rows}) == 3
        assert_that(sums, equal_to([rows]))
    assert counters["matched"] == whole.matched
    assert counters["formatted/a"] == len(whole.batches["a"])
    assert "delivered/a" not in counters


def test_nothing_matched_is_an_empty_list(tmp_path: Path) -> None:
    """Also if the range leaves nothing."""
    config = load_config([write_config(tmp_path, exporter("a", "drop"), metric("m", "event=*", "a"))])
    block = Block("f", 0, corpus_lines("events.json.gz")[0] + b"\n", "json")
    with pipeline() as (built, _):
        assert_that(built | beam.Create([block]) | CountExports(config, time_range=TimeRange(0, 1)), equal_to([[]]))
