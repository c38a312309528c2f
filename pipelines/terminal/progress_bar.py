"""Progress bar on a terminal: how much was read, the throughput, and the time left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from dovebeam.transforms.progress import Totals

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Display", "ProgressBar", "Silence", "make_display"]


class Display(Protocol):
    """A display of progress."""

    def show(self, totals: Totals) -> None:
        """Shows the totals; called a few times a second."""
        ...  # pragma: no cover


class Silence:
    """A display that shows nothing; for pipes and logs."""

    def show(self, totals: Totals) -> None:
        """Does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        pass


class ProgressBar:
    """A progress bar on standard error.

    Args:
        total_bytes: size of all input, None if unknown; then no time left is shown.
    """

    def __init__(self, total_bytes: int | None) -> None:
        self._total = total_bytes
        self._begin = time.monotonic()
        self._progress, self._task = _make(total_bytes)

    def show(self, totals: Totals) -> None:
        """Moves the bar."""
        # Never beyond 100 %: a file may have grown, and what a failed bundle has read is read again.
        done = totals.read_bytes if self._total is None else min(totals.read_bytes, self._total)
        rejected = f", {totals.rejected:,} rejected" if totals.rejected else ""
        waiting = f", {totals.waiting:,} waiting" if totals.waiting else ""
        rate = totals.events / max(time.monotonic() - self._begin, 0.001)
        events = f"{totals.events:,} events ({rate:,.0f}/s), {totals.delivered:,} delivered{waiting}{rejected}"
        # A terminal that was closed does not end the job.
        with contextlib.suppress(OSError):
            self._progress.update(self._task, completed=done, events=events)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()


def make_display(total_bytes: Callable[[], int | None]) -> ProgressBar | Silence:
    """A bar if standard error is a terminal, else a silent display."""
    # The total is a function, because asking for the sizes of many objects takes time that only a bar is worth.
    return ProgressBar(total_bytes() or None) if sys.stderr.isatty() else Silence()


def _make(total: int | None) -> tuple[Progress, TaskID]:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:>3.0f}%" if total else ""),
        TimeRemainingColumn(),
        TextColumn("{task.fields[events]}"),
        console=Console(stderr=True),
        transient=True,
    )
    return progress, progress.add_task("export", total=total, events="starting")
