"""The throttle: that nothing is lost or changed by waiting, and that a job can stop meanwhile."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from dovebeam.transforms.progress import JobMonitor, StoppedError
from dovebeam.transforms.sources import Block
from dovebeam.transforms.throttle_blocks import ThrottleBlocks, _WaitFn, block_bytes_for, events_in
from support.jobs.pipelines import pipeline


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    """It would never end."""
    with pytest.raises(ValueError, match="more than 0"):
        ThrottleBlocks(rate)


@pytest.mark.parametrize(("rate", "size"), [(1, 4096), (100, 25_000), (1_000_000, 112 * 1024)])
def test_blocks_are_small_where_events_are_few(rate: float, size: int) -> None:
    """A block is about a second's events."""
    assert block_bytes_for(rate) == size


@pytest.mark.parametrize(
    ("block", "count"),
    [
        (Block("f", 0, b"a\nb\n", "json"), 2),
        (Block("f", 0, b"a\nb", "json"), 2),
        (Block("f", 0, b"xyz", "avro", records=7, schema=b"{}"), 7),
    ],
)
def test_events_of_a_block(block: Block, count: int) -> None:
    """Lines or records."""
    assert events_in(block) == count


def test_blocks_pass_unchanged() -> None:
    """All of them, in the end."""
    blocks = [Block("f", offset, b"{}\n", "json") for offset in range(0, 60, 3)]
    with pipeline() as (built, _):
        passed = built | beam.Create(blocks) | ThrottleBlocks(1000)
        assert_that(passed, equal_to(blocks))


def test_a_wish_to_stop_is_obeyed_while_waiting(tmp_path: Path) -> None:
    """A block that would wait for an hour does not keep a job from stopping."""
    wait = _WaitFn(1 / 3600)
    wait.setup()
    block = Block("f", 0, b"{}\n", "json")
    assert list(wait.process(block)) == [block]
    with JobMonitor() as monitor:
        monitor.stop()
        with pytest.raises(StoppedError):
            list(wait.process(block))
