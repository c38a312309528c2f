"""Between many connections and one spool: what arrives while a write runs is written together by the next one.

The spool works in a thread of its own, since disks block. Http connections wait for their answer until their lines are
written. What unix sockets send is taken into memory meanwhile, up to a limit, because Dovecot's buffers are small and
it drops what does not fit; beyond the limit their connections wait, too.
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
"""How long to wait after a failed write; http clients are told ten times that."""

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""How much of what unix sockets sent waits in memory, beyond one piece of each connection."""

_TICK_SECS: Final = 0.25
_WRITE_BYTES: Final = 128 * 1024
_T = TypeVar("_T")


@dataclass(slots=True)
class Counts:
    """Numbers since the start.

    Attributes:
        lines: that are in the spool, whole.
        bytes: of those, with their ends.
        torn: pieces without an end, or lines too long, kept aside.
        refused: http requests that were not answered with 204; their sender knows.
        lost: bytes that came from a unix socket and could not be written before the end.
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
    """What a unix socket sent: whole lines, or pieces of lines that are kept aside."""

    data: bytes
    are_pieces: bool
    torn: int  # lines whose last piece is among them


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
        async with self._writing:  # what is being written is not lost
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._counts.lost += self._queued
        await self._in_thread(self._spool.close)
        self._thread.shutdown()

    async def flush(self, seconds: float) -> None:
        """Waits that long for everything that was taken to be written."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._shrunk:
                await self._shrunk.wait_for(lambda: not self._queue)

    async def append(self, lines: bytes) -> None:
        """Returns when the lines, each with its end, are in the spool as safely as its settings say.

        Raises:
            DeliveryError: they are not in it.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, done))
        self._arrived.set()
        await done

    async def take(self, lines: bytes, pieces: list[bytes], torn: int) -> None:
        """Returns when lines and pieces are in memory; they are written as soon as possible, in their order.

        Args:
            lines: each with its end.
            pieces: of lines, to be kept aside.
            torn: how many lines ended there.
        """
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
                async with self._writing:
                    succeeded = await self._write_queued()
                    await self._write_waiting()
                if not succeeded:
                    asyncio.get_running_loop().call_later(RETRY_SECS, self._arrived.set)
                    break
                async with self._shrunk:
                    self._shrunk.notify_all()

    async def _write_waiting(self) -> None:
        """What http clients wait for: it is in the spool, or they are told that it is not."""
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
        """The oldest of what was taken; whether it is in the spool. Else it stays in the queue."""
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
        """Once for each time that the trouble begins."""
        if not self._failing:
            self._failing = True
            say(
                f"{error}; until that is over http clients are answered 503, and of what unix sockets send "
                f"{QUEUE_BYTES // 1024**2} MiB are kept in memory"
            )

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
