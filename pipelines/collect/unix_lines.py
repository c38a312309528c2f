"""Dovecot's `unix` driver as a peer: a stream of lines, of which some have lost their end.

Dovecot writes an event and a line feed, reads nothing, and notices a peer that is gone only by losing the next event.
When its buffer of 8 KiB is full it drops what does not fit, silently: of one event the end is missing, also its line
feed, and the next event that fits follows at once. So what stands at the end of such a line is a whole event, and what
stands before it is a piece, which is kept aside. If only the line feed was dropped, both are whole, which JSON shows
and tab-text does not. Kept aside is also the piece that a connection leaves which ends within a line, and a line that
is longer than allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from typing import Final

from dovebeam.pipelines.collect.listeners import Slot
from dovebeam.pipelines.collect.writer import Counts, SpoolWriter
from dovebeam.transforms.codecs import decode_json, decode_tab
from dovebeam.transforms.errors import DecodeError

__all__ = ["LineAssembler", "UnixLines", "separated"]

_NOT_JSON: Final = re.compile(rb"^[^{]", re.MULTILINE)

# Where an event may begin within a line: at one of the members that can be its first, in Dovecot's order.
_JSON_BEGIN: Final = re.compile(rb'(?<=[^\n])(?=\{"(?:event|hostname|start_time|categories|fields)":)')
# In tab-text it is the part that is first in this line, too. What always follows that one must follow it, since the
# text of a field may be anything without a tab.
_TAB_BEGINS: Final = {
    b"event:": re.compile(rb"(?<=[^\n])(?=event:[^\t\n:]*\t(?:hostname:|start_time:|category:))"),
    b"hostname:": re.compile(rb"(?<=[^\n])(?=hostname:[^\t\n]*\tstart_time:)"),
    b"start_time:": re.compile(rb"(?<=[^\n])(?=start_time:[^\t\n]*\tend_time:)"),
}
_MAX_TRIES: Final = 32  # of a line: so many are never glued together, and each costs a look at its whole text
_READ_BYTES: Final = 256 * 1024


def separated(lines: bytes) -> tuple[bytes, list[bytes]]:
    """The whole events of lines, each with its end, and the pieces that were glued to them.

    A line that does not begin as an event does, or of which no end is one, stays as it is; whoever reads it says what
    is wrong with it.
    """
    if not _JSON_BEGIN.search(lines) and not _NOT_JSON.search(lines):
        return lines, []
    whole: list[bytes] = []
    pieces: list[bytes] = []
    for line in _lines(lines):
        _separate(line, whole, pieces)
    return b"".join(whole), pieces


def _separate(line: bytes, whole: list[bytes], pieces: list[bytes]) -> None:
    rest, events = line, list[bytes]()
    if line.startswith(b"{"):
        if _JSON_BEGIN.search(line) and not _is_event(line, decode_json):
            rest, events = _cut_off_events(line, _JSON_BEGIN, decode_json)
            if events and _is_event(rest, decode_json):
                rest, events = b"", [rest + b"\n", *events]
    elif begin := _tab_begin(line):
        rest, events = _cut_off_events(line, begin, decode_tab, most=1)
    whole += events or [line]
    if events and rest:
        pieces.append(rest + b"\n")


def _tab_begin(line: bytes) -> re.Pattern[bytes] | None:
    """What may begin an event within a line of tab-text; of the first part of the line there may be one byte only."""
    for head, begin in _TAB_BEGINS.items():
        if line.startswith(head) or begin.search(line):
            return begin if line[:1] == head[:1] else None
    return None


def _cut_off_events(
    line: bytes, begin: re.Pattern[bytes], decode: Callable[[bytes], object], most: int = _MAX_TRIES
) -> tuple[bytes, list[bytes]]:
    """What is left of a line without the whole events at its end, and those, each with a line's end."""
    events: list[bytes] = []
    rest = line
    for found in list(begin.finditer(line))[: -_MAX_TRIES - 1 : -1]:
        if len(events) < most and _is_event(rest[found.start() :], decode):
            events.insert(0, rest[found.start() :].removesuffix(b"\n") + b"\n")
            rest = rest[: found.start()]
    return rest, events


def _is_event(text: bytes, decode: Callable[[bytes], object]) -> bool:
    try:
        decode(text.removesuffix(b"\n"))
    except DecodeError:
        return False
    return True


def _lines(lines: bytes) -> list[bytes]:
    """Each with its end, which is a line feed and nothing else."""
    return [line + b"\n" for line in lines.split(b"\n")[:-1]]


class UnixLines:
    """The connections of a unix listener.

    Args:
        writer: gets the lines.
        counts: counts what is torn.
        max_line_bytes: longer lines are kept aside.
    """

    def __init__(self, writer: SpoolWriter, counts: Counts, max_line_bytes: int) -> None:
        self._writer = writer
        self._counts = counts
        self._max_line_bytes = max_line_bytes
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """The protocol of a new connection, which keeps its slot to its end: Dovecot may be silent for hours."""
        slot.prove()
        slot.busy()

        def connected(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._collect(reader, stream))
            self._connections[task] = stream
            task.add_done_callback(self._connections.pop)
            task.add_done_callback(lambda _: slot.end())

        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_READ_BYTES), connected)

    async def stop(self, seconds: float) -> None:
        """Takes what Dovecot has sent by now, and lets it go; what cannot be written in time is counted as lost."""
        for stream in self._connections.values():
            with contextlib.suppress(OSError):  # gone by itself
                # From now on Dovecot's writes fail, while what it wrote before can still be read.
                stream.get_extra_info("socket").shutdown(socket.SHUT_RD)
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _collect(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        lines = LineAssembler(self._max_line_bytes)
        in_hand = 0
        try:
            with contextlib.suppress(ConnectionError):  # ends a connection as well as an orderly end
                while data := await reader.read(_READ_BYTES):
                    in_hand = len(data)
                    whole = lines.feed(data)
                    await self._writer.take(whole, *lines.take_aside())
                    in_hand = 0
            in_hand = lines.end()
            await self._writer.take(b"", *lines.take_aside())
        except asyncio.CancelledError:
            self._counts.lost += in_hand
        finally:
            stream.close()


class LineAssembler:
    """Puts lines together from what arrives, whatever its pieces.

    Args:
        max_bytes: of a line with its end; a longer one is put aside, in pieces of its own lines.

    What Dovecot has glued together is separated, see `separated`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._size = 0
        self._within_long = False
        self._aside: list[bytes] = []
        self._torn = 0

    def feed(self, data: bytes) -> bytes:
        """The whole lines that are complete with these bytes."""
        if self._within_long:
            end = data.find(b"\n") + 1
            self._put_aside(data[:end] if end else data)
            data = data[end:] if end else b""
            self._within_long = not end
            self._torn += not self._within_long
        cut = data.rfind(b"\n") + 1
        whole = b""
        if cut:
            whole, pieces = separated(self._without_long(b"".join([*self._begun, data[:cut]])))
            self._aside += pieces
            self._torn += len(pieces)
            self._begun, self._size = [], 0
        if data[cut:]:
            self._begun.append(data[cut:])
            self._size += len(data) - cut
        if self._size >= self._max_bytes:  # with its end it is longer
            self._put_aside(b"".join(self._begun))
            self._begun, self._size, self._within_long = [], 0, True
        return whole

    def end(self) -> int:
        """Puts aside what came after the last end of a line; its bytes."""
        size = self._size
        self._torn += bool(size) or self._within_long
        if size:
            self._put_aside(b"".join(self._begun))
        self._begun, self._size, self._within_long = [], 0, False
        return size

    def take_aside(self) -> tuple[list[bytes], int]:
        """What was put aside since the last call, each piece with a line's end, and how many lines have ended there."""
        taken = self._aside, self._torn
        self._aside, self._torn = [], 0
        return taken

    def _put_aside(self, piece: bytes) -> None:
        self._aside.append(piece.removesuffix(b"\n") + b"\n")

    def _without_long(self, whole: bytes) -> bytes:
        if len(whole) <= self._max_bytes:
            return whole
        lines = [line + b"\n" for line in whole.split(b"\n")[:-1]]
        for line in lines:
            if len(line) > self._max_bytes:
                self._put_aside(line)
                self._torn += 1
        return b"".join(line for line in lines if len(line) <= self._max_bytes)
