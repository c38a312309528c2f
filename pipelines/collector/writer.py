"""Between many connections and one spool: what arrives while a write runs is written together by the next one.

The spool works in a thread of its own, since disks block. Nothing is queued beyond the one piece that each connection
has in hand, because each waits until its piece is written; that is all the flow control there is, and all that is
needed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from dovebeam.pipelines.collector.counts import Counts
from dovebeam.pipelines.collector.spool import Spool
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.errors import DeliveryError

__all__ = ["RETRY_SECS", "SpoolWriter"]

RETRY_SECS: Final = 1.0
"""How long to wait after a failed write; http clients are told ten times that."""

_TICK_SECS: Final = 0.25
_T = TypeVar("_T")


class SpoolWriter:
    """Writes for connections of one event loop; a context manager.

    Args:
        spool: is closed at the end.
        counts: counts what was written.
    """

    def __init__(self, spool: Spool, counts: Counts) -> None:
        self._spool = spool
        self._counts = counts
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failing = False

    async def __aenter__(self) -> SpoolWriter:
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._tick())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._in_thread(self._spool.close)
        self._thread.shutdown()

    async def append(self, lines: bytes) -> None:
        """Returns when the lines, each with its end, are in the spool as safely as its settings say.

        Raises:
            DeliveryError: they are not in it.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, done))
        self._arrived.set()
        await done

    async def append_patiently(self, lines: bytes) -> None:
        """The same, tried again until it succeeds."""
        while True:
            try:
                return await self.append(lines)
            except DeliveryError:
                await asyncio.sleep(RETRY_SECS)

    async def put_aside(self, pieces: list[bytes]) -> None:
        """Keeps pieces of lines aside; tried until it succeeds."""
        while True:
            try:
                return await self._in_thread(self._spool.put_aside, pieces)
            except DeliveryError as error:
                self._tell(error)
                await asyncio.sleep(RETRY_SECS)

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            group, self._waiting = self._waiting, []
            try:
                await self._in_thread(self._spool.append, [lines for lines, _ in group])
            except Exception as error:
                self._tell(error)
                _settle(group, error)
            else:
                self._recovered()
                self._counts.lines += sum(lines.count(b"\n") for lines, _ in group)
                self._counts.bytes += sum(len(lines) for lines, _ in group)
                _settle(group, None)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECS)
            try:
                await self._in_thread(self._spool.tick)
            except Exception as error:
                self._tell(error)

    async def _in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _tell(self, error: Exception) -> None:
        """Once for each time that the trouble begins."""
        if not self._failing:
            self._failing = True
            say(f"{error}; http clients are answered 503 and unix sockets are not read until it is over")

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            say("the spool can be written to again")


def _settle(group: list[tuple[bytes, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in group:
        if done.done():  # its connection is gone
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
