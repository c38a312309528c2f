"""A job on an engine, seen from here: waited for, and ended there when it ends here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from apache_beam.runners.runner import PipelineResult

from dovebeam.transforms.progress import Board

__all__ = ["cancelled_on_error", "wait_until_drained"]

_LOOK_SECS: Final = 0.1
_END_SECS: Final = 3.0  # for an engine that ends a drained job itself
_CANCEL_SECS: Final = 10.0


@contextlib.contextmanager
def cancelled_on_error(result: PipelineResult) -> Iterator[None]:
    """If the block raises, the job is cancelled; its workers are gone, and an engine would start it again and again.

    Args:
        result: of the job.
    """
    try:
        yield
    except BaseException:
        _cancel(result)
        raise


def wait_until_drained(result: PipelineResult, board: Board) -> bool:
    """Waits for the end of a stream, and ends it when its source has said that all is done.

    Flink keeps a job whose sources have nothing more to give, as long as it is to make checkpoints.

    Args:
        result: of the stream.
        board: where its source says so.

    Returns:
        Whether the engine ended the stream itself; if not, it may have no counters.

    Raises:
        Exception: what made the stream fail.
    """
    wait = _Wait(result)
    wait.start()
    while not wait.ended.wait(_LOOK_SECS):
        if board.is_drained() and not wait.ended.wait(_END_SECS):
            _cancel(result)
            return False
    if wait.error is not None:
        raise wait.error
    return True


class _Wait(threading.Thread):
    """Waits for the end of a job, which cannot be given up.

    Attributes:
        ended: set at the end.
        error: what was raised.
    """

    def __init__(self, result: PipelineResult) -> None:
        super().__init__(name="dovebeam-wait", daemon=True)
        self._result = result
        self.ended: Final = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.wait_until_finish()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


def _cancel(result: PipelineResult) -> None:
    """Cancels as far as the engine listens, in bounded time."""

    def cancel() -> None:
        with contextlib.suppress(Exception):  # it may be gone, or have ended by itself
            result.cancel()

    thread = threading.Thread(target=cancel, name="dovebeam-cancel", daemon=True)
    thread.start()
    thread.join(_CANCEL_SECS)
