"""Server for Dovecot's `unix` driver: a stream of lines, some of which have lost their end.

Dovecot writes an event and a line feed, reads nothing, and notices a closed connection only by losing the next event.
When its buffer of 8 KiB is full, it silently drops what does not fit: the end of one event is missing with its line
feed, and the next event that fits follows at once. So such a line ends with a whole event; the piece before it is kept
aside. If only the line feed was dropped, both events are whole, which JSON shows and tab-text does not. Also kept aside
are the piece that is left when a connection ends within a line, and lines that are longer than allowed.
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

# Where an event may start within a line: at one of the members that can be its first, in Dovecot's order.
_JSON_BEGIN: Final = re.compile(rb'(?<=[^\n])(?=\{"(?:event|hostname|start_time|categories|fields)":)')
# In tab-text it is the part that is first in this line, too. What always follows that one must follow it, since the
# text of a field may be anything without a tab.
_TAB_BEGINS: Final = {
    b"event:": re.compile(rb"(?<=[^\n])(?=event:[^\t\n:]*\t(?:hostname:|start_time:|category:))"),
    b"hostname:": re.compile(rb"(?<=[^\n])(?=hostname:[^\t\n]*\tstart_time:)"),
    b"start_time:": re.compile(rb"(?<=[^\n])(?=start_time:[^\t\n]*\tend_time:)"),
}
# Attempts for a line. So many events are never glued together, and each attempt decodes the rest of the line.
_MAX_TRIES: Final = 32
_READ_BYTES: Final = 256 * 1024


def separated(lines: bytes) -> tuple[bytes, list[bytes]]:
    """Whole events of lines, each with its line feed, and the pieces that were glued to them.

    A line that does not start like an event, or does not end with one, stays as it is; the job that reads it rejects it
    with a reason.
    """
    # Nearly all input is JSON without glued lines, for which two searches are enough.
    if not _JSON_BEGIN.search(lines) and not _NOT_JSON.search(lines):
        return lines, []
    whole: list[bytes] = []
    pieces: list[bytes] = []
    for line in _lines(lines):
        _separate(line, whole, pieces)
    return b"".join(whole), pieces


def _separate(line: bytes, whole: list[bytes], pieces: list[bytes]) -> None:
    rest, events = line, list[bytes]()
    # The text of a field may look like the start of an event, so a line that can be decoded is never separated.
    if line.startswith(b"{"):
        if _JSON_BEGIN.search(line) and not _is_event(line, decode_json):
            rest, events = _cut_off_events(line, _JSON_BEGIN, decode_json)
            if events and _is_event(rest, decode_json):
                rest, events = b"", [rest + b"\n", *events]
    # A cut line of tab-text is a shorter valid line, so only the last event is certain to be whole (docs/decisions.md).
    elif begin := _tab_begin(line):
        rest, events = _cut_off_events(line, begin, decode_tab, most=1)
    whole += events or [line]
    if events and rest:
        pieces.append(rest + b"\n")


def _tab_begin(line: bytes) -> re.Pattern[bytes] | None:
    """Pattern of the start of an event within a line of tab-text, of whose first part one byte may be left."""
    for head, begin in _TAB_BEGINS.items():
        if line.startswith(head) or begin.search(line):
            return begin if line[:1] == head[:1] else None
    return None


def _cut_off_events(
    line: bytes, begin: re.Pattern[bytes], decode: Callable[[bytes], object], most: int = _MAX_TRIES
) -> tuple[bytes, list[bytes]]:
    """The rest of a line without the whole events at its end, and these events, each with a line feed."""
    events: list[bytes] = []
    rest = line
    # From the end, because what is whole stands there.
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
    """The lines, each with its line feed; other characters that Python takes for line ends are data."""
    return [line + b"\n" for line in lines.split(b"\n")[:-1]]


class UnixLines:
    """Connections of a unix listener.

    Args:
        writer: gets the lines.
        counts: counts lost bytes.
        max_line_bytes: longer lines are kept aside.
    """

    def __init__(self, writer: SpoolWriter, counts: Counts, max_line_bytes: int) -> None:
        self._writer = writer
        self._counts = counts
        self._max_line_bytes = max_line_bytes
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def protocol(self, slot: Slot) -> asyncio.Protocol:
        """Protocol of a new connection."""
        # It keeps its slot to its end, since Dovecot may be silent for hours and loses an event when it is closed.
        slot.prove()
        slot.busy()

        def connected(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._collect(reader, stream))
            self._connections[task] = stream
            task.add_done_callback(self._connections.pop)
            task.add_done_callback(lambda _: slot.end())

        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_READ_BYTES), connected)

    async def stop(self, seconds: float) -> None:
        """Takes what Dovecot has sent by now and ends the connections; what is not written in time counts as lost."""
        for stream in self._connections.values():
            with contextlib.suppress(OSError):  # the peer is gone already
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
            with contextlib.suppress(ConnectionError):  # a reset ends the connection like an orderly end
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
    """Assembles lines from the pieces in which they arrive, and separates glued ones (see `separated`).

    Args:
        max_bytes: longest line with its line feed; a longer one is put aside, in pieces on lines of their own.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun: list[bytes] = []
        self._size = 0
        self._within_long = False
        self._aside: list[bytes] = []
        self._torn = 0

    def feed(self, data: bytes) -> bytes:
        """Lines that become complete with these bytes."""
        # The rest of a line that was already put aside as too long goes there, too.
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
        # Put aside in pieces as it arrives, so that an endless line does not fill the memory.
        if self._size >= self._max_bytes:  # with its line feed it would be too long
            self._put_aside(b"".join(self._begun))
            self._begun, self._size, self._within_long = [], 0, True
        return whole

    def end(self) -> int:
        """Puts aside what came after the last line feed; returns its number of bytes."""
        size = self._size
        self._torn += bool(size) or self._within_long
        if size:
            self._put_aside(b"".join(self._begun))
        self._begun, self._size, self._within_long = [], 0, False
        return size

    def take_aside(self) -> tuple[list[bytes], int]:
        """Pieces that were put aside since the last call, each with a line feed, and the number of lines among them."""
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
