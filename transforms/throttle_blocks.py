"""`ThrottleBlocks`: lets blocks pass at no more than a number of events a second, for replays beside live traffic.

The limit is one of a worker process: whoever launches a job divides the wanted rate by the number of its workers. A
block is held until its events are due, and it is never split, so over any span the rate is exceeded by one block at
most; `block_bytes_for` says how small blocks should be for a rate.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam

import dovebeam.transforms.coders  # noqa: F401  registers them
from dovebeam.transforms import progress
from dovebeam.transforms.drivers.rate_limit import shared_bucket
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES, Block

__all__ = ["ThrottleBlocks", "block_bytes_for", "events_in"]

_SLICE_SECS: Final = 0.5  # a wish to stop is obeyed at least that often
_SMALL_EVENT_BYTES: Final = 250
_LEAST_BLOCK_BYTES: Final = 4 * 1024


def block_bytes_for(per_second: float) -> int:
    """How large blocks may be so that one holds about a second's events, within the usual bounds."""
    return max(_LEAST_BLOCK_BYTES, min(DEFAULT_BLOCK_BYTES, int(per_second * _SMALL_EVENT_BYTES)))


def events_in(block: Block) -> int:
    """How many lines or records a block has, without decoding it."""
    if block.format == "avro":
        return block.records
    return block.data.count(b"\n") + (not block.data.endswith(b"\n"))


class ThrottleBlocks(beam.PTransform):
    """Passes blocks on at a limited rate of events.

    Args:
        per_second: events a second for each worker process, more than 0.
    """

    def __init__(self, per_second: float) -> None:
        super().__init__()
        if per_second <= 0:
            raise ValueError(f"per_second is a number of events, more than 0; found {per_second}")
        self._per_second = per_second

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[Block]:
        """Blocks to the same, later."""
        passed: beam.PCollection[Block] = blocks | "Wait" >> beam.ParDo(_WaitFn(self._per_second))
        return passed


@beam.typehints.with_input_types(Block)
@beam.typehints.with_output_types(Block)
class _WaitFn(beam.DoFn):
    def __init__(self, per_second: float) -> None:
        self._per_second = per_second

    def setup(self) -> None:
        self._bucket = shared_bucket("blocks", self._per_second)

    def process(self, block: Any) -> Iterator[Any]:
        left = self._bucket.reserve(events_in(block))
        while left > 0:
            time.sleep(min(left, _SLICE_SECS))
            left -= _SLICE_SECS
            progress.advance()
        yield block
