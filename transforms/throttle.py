"""`ThrottleBlocks`: lets blocks pass at no more than a number of events a second, for replays beside live traffic.

The limit is one of a worker process: whoever launches a job divides the wanted rate by the number of its workers. A
block is held until its events are due, and it is never split, so over any span the rate is exceeded by one block at
most; `block_bytes_for` says how small blocks should be for a rate.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import apache_beam as beam

from dovebeam.transforms import progress
from dovebeam.transforms.sources import DEFAULT_BLOCK_BYTES, Block

__all__ = ["ThrottleBlocks", "TokenClock", "block_bytes_for", "events_in"]

_SLICE_SECS: Final = 0.5  # a wish to stop is obeyed at least that often
_SMALL_EVENT_BYTES: Final = 250
_LEAST_BLOCK_BYTES: Final = 4 * 1024


class TokenClock:
    """Says how long to wait so that what passes keeps to a rate; several threads may share one.

    Time that was not used is not saved up, but for a tenth of a second: a replay that was held up elsewhere does not
    rush afterwards.

    Args:
        per_second: how many may pass in a second, more than 0.
        now: the clock, in seconds.
    """

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        if per_second <= 0:
            raise ValueError(f"a rate must be more than 0, found {per_second}")
        self._per_second = per_second
        self._now = now
        self._lock = threading.Lock()
        self._free_at = now()

    def reserve(self, count: int) -> float:
        """Takes the next place for `count` of them; returns the seconds until its time has come."""
        with self._lock:
            now = self._now()
            begin = max(self._free_at, now - 0.1)
            self._free_at = begin + count / self._per_second
            return max(0.0, begin - now)


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

    def expand(self, blocks: Any) -> Any:
        """PCollection of Block to the same."""
        return blocks | "Wait" >> beam.ParDo(_WaitFn(self._per_second)).with_output_types(Block)


_clocks: Final[dict[float, TokenClock]] = {}
_clocks_lock: Final = threading.Lock()


def _clock(per_second: float) -> TokenClock:
    """The clock that all threads of this process share."""
    with _clocks_lock:
        return _clocks.setdefault(per_second, TokenClock(per_second))


@beam.typehints.with_input_types(Block)
@beam.typehints.with_output_types(Block)
class _WaitFn(beam.DoFn):
    def __init__(self, per_second: float) -> None:
        self._per_second = per_second

    def setup(self) -> None:
        self._reserve = _clock(self._per_second).reserve

    def process(self, block: Any) -> Iterator[Any]:
        left = self._reserve(events_in(block))
        while left > 0:
            time.sleep(min(left, _SLICE_SECS))
            left -= _SLICE_SECS
            progress.advance()
        yield block
