"""A `dovebeam collect` in a process of its own, and what is in its spool."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.jobs import warm_commands
from support.programs import HANG_SECS, free_port, wait_until


class Collector:
    """A running collector with a unix socket and an http address.

    Args:
        folder: gets the spool, the socket and what the collector says.
        process: the collector.
        port: of http.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.spool = folder / "spool"
        self.socket = folder / "socket"
        self._log = folder / "collector.log"

    @property
    def url(self) -> str:
        """The http address."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def said(self) -> str:
        """All messages so far."""
        return self._log.read_text()

    @property
    def lines(self) -> list[bytes]:
        """All whole lines in the spool, in their order."""
        return spooled(self.spool)

    @property
    def torn(self) -> bytes:
        """What was kept aside."""
        return b"".join(path.read_bytes() for path in sorted((self.spool / "torn").glob("*")))

    def wait_for(self, count: int) -> list[bytes]:
        """The lines, as soon as they are so many."""
        wait_until(lambda: _count_lines(self.spool) >= count, f"{count} lines in the spool")
        return self.lines

    def stop(self) -> int:
        """Asks it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG_SECS)


def _count_lines(spool: Path) -> int:
    """So many lines are whole by now, whatever is being written."""
    return sum(path.read_bytes().count(b"\n") for path in spool.glob("*.lines"))


def spooled(spool: Path) -> list[bytes]:
    """The lines of a spool; none of its files may end within one."""
    data = b"".join(path.read_bytes() for path in sorted(spool.glob("*.lines")))
    assert not data or data.endswith(b"\n")
    return data.split(b"\n")[:-1]


@contextlib.contextmanager
def run_collector(
    folder: Path,
    *options: str,
    http: str = "http",
    wait: bool = True,
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
    ready: Callable[[Collector], bool] = lambda collector: "collecting" in collector.said,
) -> Iterator[Collector]:
    """Starts a collector.

    Args:
        folder: an existing folder; a second start in it finds the first one's spool.
        options: beside --listen and --spool.
        http: scheme of the http address.
        wait: until it is ready; else it may also have failed.
        env: variables beside those of this process.
        before: a program that starts it, with its arguments.
        ready: how one sees that it is.
    """
    port = free_port()
    listen = [f"--listen=unix:{folder / 'socket'}", f"--listen={http}://127.0.0.1:{port}/"]
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "collect", *listen, f"--spool={folder / 'spool'}"]
    with (folder / "collector.log").open("wb") as log:
        process = warm_commands.Popen([*before, *command, *options], stderr=log, env={**os.environ, **(env or {})})
    collector = Collector(folder, process, port)
    try:
        wait_until(lambda: process.poll() is not None or ready(collector), "the collector")
        assert not wait or process.poll() is None, collector.said
        yield collector
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(HANG_SECS)
