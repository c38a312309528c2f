"""Notices that an engine's worker processes on this machine are all gone, which not every engine does.

Prism 2.77 mostly does, but was seen to wait for ever, and busily, after its only worker was killed.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

from dovebeam.pipelines.terminal.progress_bar import Display
from dovebeam.transforms.errors import DovebeamError
from dovebeam.transforms.progress import Board, Totals

__all__ = ["WatchedDisplay", "WorkersGoneError"]

_GRACE_SECS: Final = 15.0  # for an engine that notices by itself, or starts another worker


class WorkersGoneError(DovebeamError):
    """No worker of a job is left."""

    def __init__(self) -> None:
        super().__init__(
            "all worker processes of the job were ended in the middle of their work, perhaps by the system for lack of "
            "memory, and the engine does nothing about it; what they had not finished is not delivered (find out why, "
            "and run again)"
        )


class WatchedDisplay:
    """Shows what another display shows, and looks after the workers meanwhile.

    Args:
        display: shows the progress.
        board: where every worker process has registered by counting.
        grace_secs: how long none may be left.
        launcher_counts: whether this process counts as well, without being a worker: it delivers out of queues.
    """

    def __init__(
        self,
        display: Display,
        board: Board,
        grace_secs: float = _GRACE_SECS,
        *,
        launcher_counts: bool = False,
    ) -> None:
        self._display = display
        self._launcher = os.getpid() if launcher_counts else None
        self._board = board
        self._grace_secs = grace_secs
        self._gone_since: float | None = None

    def show(self, totals: Totals) -> None:
        """Called a few times a second.

        Raises:
            WorkersGoneError: there were workers, and none is left.
        """
        self._display.show(totals)
        workers = [pid for pid in self._board.workers() if pid != self._launcher]
        if not workers or any(map(_is_alive, workers)):
            self._gone_since = None
            return
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since > self._grace_secs:
            threading.excepthook = _ignore  # the threads that listen to the engine would complain of its end
            raise WorkersGoneError


def _ignore(_: threading.ExceptHookArgs) -> None:
    pass


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's by now, or the engine's
        pass
    return True
