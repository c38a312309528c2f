"""More than the spool takes: Dovecot's buffers are small, so the collector reads on, and sorts out what was cut."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from dovebeam.pipelines.collect import writer as collector_writer
from dovebeam.pipelines.collect.spool import Spool, SpoolSettings
from dovebeam.pipelines.collect.writer import Counts, SpoolWriter
from support.jobs.collector import run_collector, spooled
from support.jobs.file_jobs import small_disk
from support.oracle.corpus import corpus_lines
from support.programs import HANG_SECS, wait_until

DOVECOT_BUFFER = 8192


class DovecotWriter:
    """Writes as Dovecot's unix driver does: never waits, and discards what its buffer has no room for.

    Attributes:
        whole: the events of which everything was taken, but perhaps the line feed.
        cut: how many were taken in part.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.setblocking(False)
        self._buffer = b""
        self.whole: list[bytes] = []
        self.cut = 0

    def write(self, event: bytes) -> None:
        """Sends an event, as much as there is room for."""
        self.flush()
        data = event + b"\n"
        sent = 0 if self._buffer else self._try(data)
        kept = data[sent:][: DOVECOT_BUFFER - len(self._buffer)]
        self._buffer += kept
        if sent + len(kept) >= len(event):
            self.whole.append(event)
        elif sent + len(kept):
            self.cut += 1

    def flush(self) -> bool:
        """Sends what is in the buffer; whether that is all."""
        if self._buffer:
            self._buffer = self._buffer[self._try(self._buffer) :]
        return not self._buffer

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _try(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0


@pytest.mark.parametrize("name", ["events.json.gz", "events.tab.gz"])
def test_a_collector_that_stands_still(name: str, tmp_path: Path) -> None:
    """Every event that Dovecot could write as a whole is in the spool, and each that it cut is a piece aside."""
    events = [line for line in corpus_lines(name) if b"hostname" in line][:1500]
    with run_collector(tmp_path) as collector:
        dovecot = DovecotWriter(collector.socket)
        for _ in range(3):
            collector.process.send_signal(signal.SIGSTOP)
            for event in events:
                dovecot.write(event)
            collector.process.send_signal(signal.SIGCONT)
            wait_until(dovecot.flush, "room in the socket")
            dovecot.write(events[0])  # glued to the one that was cut
        wait_until(dovecot.flush, "room in the socket")
        dovecot.close()
        assert dovecot.cut
        assert collector.stop() == 0
        assert collector.lines == dovecot.whole
        assert collector.torn.count(b"\n") == dovecot.cut
        assert f"{dovecot.cut} torn" in collector.said


def test_reading_goes_on_while_the_disk_is_full(tmp_path: Path) -> None:
    """Megabytes are taken from the socket meanwhile; what could not be written before the end is counted as lost."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "room").write_bytes(b"x" * (60 << 10))
        with run_collector(disk) as collector, socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(HANG_SECS)
            peer.connect(str(collector.socket))
            lines = b'{"event":"x"}\n' * 400_000
            peer.sendall(lines)
            wait_until(lambda: "the disk is full" in collector.said, "the full disk")
            assert "MiB from unix sockets are kept in memory" in collector.said
            assert collector.stop() == 1
            lost = len(lines) - sum(len(line) + 1 for line in collector.lines)
            assert f"{lost:,} bytes could not be written and are LOST" in collector.said


class SlowSpool(Spool):
    """Writes nothing before it may."""

    may_write = threading.Event()

    def append(self, lines: Sequence[bytes]) -> None:
        """Waits, then writes."""
        self.may_write.wait(HANG_SECS)
        super().append(lines)


def test_memory_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it who sends must wait; then everything is written in its order."""
    monkeypatch.setattr(collector_writer, "QUEUE_BYTES", 1000)
    spool = SlowSpool(str(tmp_path), SpoolSettings())
    taken: list[int] = []

    async def send(writer: SpoolWriter) -> None:
        for number in range(100):
            await writer.take(b"%099d\n" % number, [], 0)
            taken.append(number)

    async def collect() -> Counts:
        counts = Counts()
        async with SpoolWriter(spool, counts) as writer:
            sending = asyncio.create_task(send(writer))
            while len(taken) < 10:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(taken) == 10
            spool.may_write.set()
            await sending
            await writer.flush(60)
        return counts

    counts = asyncio.run(collect())
    assert (counts.lines, counts.bytes, counts.lost) == (100, 10_000, 0)
    assert spooled(tmp_path) == [b"%099d" % number for number in range(100)]
