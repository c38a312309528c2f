"""Progress on a terminal: how much was read, how fast, how long it may still take."""

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
    """What shows progress."""

    def show(self, totals: Totals) -> None:
        """Called a few times a second."""
        ...  # pragma: no cover


class Silence:
    """Shows nothing; for pipes and logs."""

    def show(self, totals: Totals) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        pass


class ProgressBar:
    """A bar on standard error.

    Args:
        total_bytes: size of all input, None if unknown; then there is a rate, but no time left.
    """

    def __init__(self, total_bytes: int | None) -> None:
        self._total = total_bytes
        self._begin = time.monotonic()
        self._progress, self._task = _make(total_bytes)

    def show(self, totals: Totals) -> None:
        """Moves the bar."""
        done = totals.read_bytes if self._total is None else min(totals.read_bytes, self._total)
        rejected = f", {totals.rejected:,} rejected" if totals.rejected else ""
        waiting = f", {totals.waiting:,} waiting" if totals.waiting else ""
        rate = totals.events / max(time.monotonic() - self._begin, 0.001)
        events = f"{totals.events:,} events ({rate:,.0f}/s), {totals.delivered:,} delivered{waiting}{rejected}"
        with contextlib.suppress(OSError):  # the terminal is gone, the job is not
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
    """A bar if standard error is a terminal, else nothing; only a bar asks for the total."""
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
