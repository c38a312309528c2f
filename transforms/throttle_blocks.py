"""`ThrottleBlocks`: limits the rate of events, for replays beside live traffic.

The limit is that of one worker process: the launcher divides the wanted rate by the number of workers. A block is held
until its events are due, and is never split, so over any time the rate is exceeded by one block at most;
`block_bytes_for` says how small blocks should be for a rate.
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

# A stop is obeyed at least that often.
_SLICE_SECS: Final = 0.5
# The length of Dovecot's shorter events: with longer ones a block holds less than a second's.
_SMALL_EVENT_BYTES: Final = 250
# Every block costs Beam the same, so blocks stay larger even for slow rates.
_LEAST_BLOCK_BYTES: Final = 4 * 1024


def block_bytes_for(per_second: float) -> int:
    """Size of blocks that hold about a second's events at a rate, within the usual bounds."""
    return max(_LEAST_BLOCK_BYTES, min(DEFAULT_BLOCK_BYTES, int(per_second * _SMALL_EVENT_BYTES)))


def events_in(block: Block) -> int:
    """Number of lines or records of a block, found without decoding it."""
    if block.format == "avro":
        return block.records
    # A file's last line may lack its end.
    return block.data.count(b"\n") + (not block.data.endswith(b"\n"))


class ThrottleBlocks(beam.PTransform):
    """Passes blocks on at a limited rate of events.

    Args:
        per_second: maximum number of events a second in each worker process, more than 0.
    """

    def __init__(self, per_second: float) -> None:
        super().__init__()
        if per_second <= 0:
            raise ValueError(f"per_second is a number of events, more than 0; found {per_second}")
        self._per_second = per_second

    def display_data(self) -> dict[str, Any]:
        """The rate, for a runner's user interface."""
        return {"per_second": self._per_second}

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
        # One for all instances of this step in the process; each thread has its own instance.
        self._bucket = shared_bucket("blocks", self._per_second)

    def process(self, block: Any) -> Iterator[Any]:
        left = self._bucket.reserve(events_in(block))
        # The block's events are reserved before the wait, so blocks of other threads queue up behind them.
        while left > 0:
            time.sleep(min(left, _SLICE_SECS))
            left -= _SLICE_SECS
            progress.advance()
        yield block
