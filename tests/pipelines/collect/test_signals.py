"""How a collector ends: whatever asks it to, everything that was sent by then is in the spool."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.jobs.collector import run_collector, spooled
from support.programs import HANG_SECS, wait_until

LINES = 5000
SENT = b"".join(b'{"event":"x","fields":{"n":%d}}\n' % number for number in range(LINES))


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGHUP,),
        (signal.SIGQUIT,),
        (signal.SIGHUP, signal.SIGHUP, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGHUP),
    ],
)
def test_signals(numbers: tuple[int, ...], tmp_path: Path) -> None:
    """Each takes what was sent and ends with 0; a SIGHUP never hurries another."""
    with run_collector(tmp_path) as collector, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(collector.socket))
        peer.sendall(SENT)
        for number in numbers:
            collector.process.send_signal(number)
        assert collector.process.wait(HANG_SECS) == 0
        assert len(collector.lines) == LINES
        assert f"{LINES:,} lines" in collector.said


def test_nohup(tmp_path: Path) -> None:
    """A collector that was told to ignore SIGHUP goes on."""
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "-"]
    with run_collector(tmp_path, before=command) as collector, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(collector.socket))
        collector.process.send_signal(signal.SIGHUP)
        peer.sendall(SENT)
        collector.wait_for(LINES)
        assert "stopping" not in collector.said
        assert collector.stop() == 0


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """Its collector drains, although nobody can be told any more."""
    ours, theirs = os.openpty()
    command = ["setsid", "--ctty", sys.executable, "-m", "dovebeam.pipelines.cli", "collect"]
    options = [f"--listen=unix:{tmp_path / 'socket'}", f"--spool={tmp_path / 'spool'}"]
    process = subprocess.Popen([*command, *options], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        wait_until((tmp_path / "socket").exists, "the collector")
        wait_until(lambda: b"collecting" in os.read(ours, 1000), "it to listen")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(tmp_path / "socket"))
            peer.sendall(SENT)
            os.close(ours)
            assert process.wait(HANG_SECS) == 0
    finally:
        process.kill()
        process.wait(HANG_SECS)
    assert len(spooled(tmp_path / "spool")) == LINES
