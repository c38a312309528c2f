"""Group commit of many connections into one spool: what arrives during a write is written together by the next one.

The spool works in a thread of its own, since disks block. HTTP clients get their answer when their lines are written.
What unix sockets send is kept in memory meanwhile, because Dovecot's buffers are small and it drops what does not fit;
beyond a limit their connections wait, too (back-pressure).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from dovebeam.pipelines.collect.spool import Spool
from dovebeam.pipelines.terminal.logs import say

__all__ = ["QUEUE_BYTES", "RETRY_SECS", "Counts", "SpoolWriter"]

RETRY_SECS: Final = 1.0
"""Pause after a failed write; HTTP clients are told to retry after ten times that."""

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes from unix sockets that wait in memory, beyond one piece of each connection."""

_TICK_SECS: Final = 0.25
# Of one write from the queue. Between two of them HTTP clients get their turn, which wait for an answer.
_WRITE_BYTES: Final = 128 * 1024
_T = TypeVar("_T")


@dataclass(slots=True)
class Counts:
    """Totals of a collector since its start.

    Attributes:
        lines: whole lines in the spool.
        bytes: of these lines, with their line feeds.
        torn: pieces of lines, or lines that are too long, kept aside.
        refused: HTTP requests that were not answered with 204, so that their senders know.
        lost: bytes from unix sockets that could not be written before the end.
    """

    lines: int = 0
    bytes: int = 0
    torn: int = 0
    refused: int = 0
    lost: int = 0

    def __str__(self) -> str:
        parts = [f"{self.lines:,} lines ({self.bytes:,} bytes) are in the spool"]
        if self.torn:
            parts.append(f"{self.torn:,} torn or overlong ones aside")
        if self.refused:
            parts.append(f"{self.refused:,} requests were refused")
        if self.lost:
            parts.append(f"{self.lost:,} bytes could not be written and are LOST")
        return ", ".join(parts)


class _Taken(NamedTuple):
    """An entry of the queue from unix sockets: whole lines, or pieces of lines to be kept aside."""

    data: bytes
    are_pieces: bool
    torn: int  # lines whose last piece is among them


class SpoolWriter:
    """Writer of a spool for the connections of one event loop; a context manager.

    Args:
        spool: is closed at the end.
        counts: counts what was written.
    """

    def __init__(self, spool: Spool, counts: Counts) -> None:
        self._spool = spool
        self._counts = counts
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._queue: deque[_Taken] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._shrunk = asyncio.Condition()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._failing = False

    async def __aenter__(self) -> SpoolWriter:
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._tick())]
        return self

    async def __aexit__(self, *_: object) -> None:
        # A write that runs is completed; cancelling it would leave its lines in the spool and count them as lost.
        async with self._writing:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._counts.lost += self._queued
        await self._in_thread(self._spool.close)
        self._thread.shutdown()

    async def flush(self, seconds: float) -> None:
        """Waits until everything that was taken is written, at most that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._shrunk:
                await self._shrunk.wait_for(lambda: not self._queue)

    async def append(self, lines: bytes) -> None:
        """Returns when the lines, each with its line feed, are in the spool as durably as its settings say.

        Raises:
            DeliveryError: they could not be written.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, done))
        self._arrived.set()
        await done

    async def take(self, lines: bytes, pieces: list[bytes], torn: int) -> None:
        """Returns when lines and pieces are in the queue; they are written as soon as possible, in their order.

        Args:
            lines: each with its line feed.
            pieces: of lines, to be kept aside.
            torn: number of lines that the pieces complete.
        """
        # Tested before adding, not with what is added: a piece that is larger than the queue must pass, too.
        async with self._shrunk:
            await self._shrunk.wait_for(lambda: self._queued < QUEUE_BYTES)
        for each in (_Taken(b"".join(pieces), True, torn), _Taken(lines, False, 0)):
            if each.data or each.torn:
                self._queue.append(each)
                self._queued += len(each.data)
                self._arrived.set()

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            async with self._writing:
                await self._write_waiting()
            while self._queue:
                # After each write from the queue those who wait for an answer get their turn.
                async with self._writing:
                    succeeded = await self._write_queued()
                    await self._write_waiting()
                if not succeeded:
                    asyncio.get_running_loop().call_later(RETRY_SECS, self._arrived.set)
                    break
                async with self._shrunk:
                    self._shrunk.notify_all()

    async def _write_waiting(self) -> None:
        """Writes what HTTP clients wait for; they learn whether it is in the spool."""
        # Not retried here: the client gets 503 and keeps its event, so memory does not grow during an outage.
        group, self._waiting = self._waiting, []
        if not group:
            return
        try:
            await self._in_thread(self._spool.append, [lines for lines, _ in group])
        except Exception as error:
            self._tell(error)
            _settle(group, error)
        else:
            self._recovered()
            self._count([lines for lines, _ in group])
            _settle(group, None)

    async def _write_queued(self) -> bool:
        """Writes the oldest entries of the queue; if that fails, they stay in it. Returns whether it succeeded."""
        group = [self._queue[0]]
        size = len(group[0].data)
        for each in itertools.islice(self._queue, 1, None):
            size += len(each.data)
            if each.are_pieces != group[0].are_pieces or size > _WRITE_BYTES:
                break
            group.append(each)
        data = [each.data for each in group]
        try:
            await self._in_thread(self._spool.put_aside if group[0].are_pieces else self._spool.append, data)
        except Exception as error:
            self._tell(error)
            return False
        self._recovered()
        # Removed only now, since they are lost with the process at most, never by a failed write.
        for each in group:
            self._queue.popleft()
            self._queued -= len(each.data)
            self._counts.torn += each.torn
        if not group[0].are_pieces:
            self._count(data)
        return True

    def _count(self, written: list[bytes]) -> None:
        self._counts.lines += sum(lines.count(b"\n") for lines in written)
        self._counts.bytes += sum(map(len, written))

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
        """Prints an error once, until a write has succeeded again."""
        if not self._failing:
            self._failing = True
            say(
                f"{error}; until the spool can be written to, HTTP clients get 503, and up to "
                f"{QUEUE_BYTES // 1024**2} MiB from unix sockets are kept in memory"
            )

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            say("the spool can be written to again")


def _settle(group: list[tuple[bytes, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in group:
        if done.done():  # cancelled, because its connection is gone
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
