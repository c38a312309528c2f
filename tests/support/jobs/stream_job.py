"""`dovebeam stream` as the real command beside a log that grows, and targets that keep what arrives."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from support.jobs import warm_commands
from support.jobs.commands import exporter, metric, write_config
from support.jobs.fault_server_job import event_line
from support.programs import HANG_SECS, wait_until

_ID = re.compile(rb'"id":"e([0-9]{7})"[^\n]*\}\}\n')


def numbered_events(begin: int, end: int, pad: int = 60) -> list[bytes]:
    """Events that are told apart by their numbers, without line feeds."""
    return [event_line(f"e{number:07}", pad).encode() for number in range(begin, end)]


def numbers_in(path: Path) -> list[int]:
    """The numbers of the events that are whole in a file, in their order."""
    return [int(number) for number in _ID.findall(path.read_bytes())] if path.exists() else []


class StreamJob:
    """`dovebeam stream` as a process, with its log, state and targets in one folder.

    Args:
        folder: of all that.
        driver: of the exporter that gets all events.
        settings: of that exporter.
        source: what to read, as options; by default the log.
        environment: variables of the process beside those of the tests.
    """

    def __init__(
        self,
        folder: Path,
        driver: str,
        *settings: str,
        source: Sequence[str] = ("--follow", "log/events.json", "--state", "state"),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self._source = source
        self._environment = environment
        self.log = folder / "log" / "events.json"
        self.log.parent.mkdir()
        self.configure(driver, *settings)

    def configure(self, driver: str, *settings: str) -> None:
        """Sends all events to one exporter of this kind."""
        blocks = exporter("target", driver, "json", *settings), metric("all", "event=fault_test", "target")
        write_config(self.folder, *blocks)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """The command, none of whose processes outlives the block."""
        arguments = ["--config", "dovecot.conf", *self._source]
        process = warm_commands.Popen(
            [sys.executable, "-m", "dovebeam.pipelines.cli", "stream", *arguments, "--rejects", "rejects.jsonl"],
            cwd=self.folder,
            env={**os.environ, **self._environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            if process.stderr is not None and not process.stderr.closed:
                process.communicate()

    def first_look(self) -> None:
        """Runs the job until it has looked at the log once; what is rotated before that is none of its business."""
        with self.running() as process:
            self.wait_until(process, (self.folder / "state" / "follow.json").exists, "the first look")
            self.drain(process)

    @staticmethod
    def wait_until(process: subprocess.Popen[str], done: Callable[[], bool], what: str) -> None:
        """Waits for a condition while the job runs; fails the test with what it said if it ends."""
        wait_until(lambda: process.poll() is not None or done(), what)
        assert process.poll() is None, process.communicate()[1]

    @staticmethod
    def drain(process: subprocess.Popen[str]) -> None:
        """Stops it as an operator does; what was read is delivered, and it says that all is well."""
        wait_until(lambda: process.poll() is not None or _obeys(process.pid), "the stream to obey signals")
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=HANG_SECS)
        assert process.returncode == 0, told

    def rejected(self) -> bytes:
        """What was rejected."""
        path = self.folder / "rejects.jsonl"
        return path.read_bytes() if path.exists() else b""


def _obeys(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM, which ends it without a word while it is starting."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


class UnixListener:
    """A unix socket listener that keeps when each event arrived first.

    Args:
        path: the socket.
        deaf: whether it accepts connections and reads nothing from them.

    Attributes:
        arrived: the time of each event's number, by the monotonic clock.
        connections: how many were accepted.
    """

    def __init__(self, path: Path, *, deaf: bool = False) -> None:
        self.path = path
        self.arrived: dict[int, float] = {}
        self.connections = 0
        self._deaf = deaf
        self._held: list[socket.socket] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> UnixListener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(HANG_SECS)
        for connection in self._held:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            if self._deaf:
                self._held.append(connection)
                continue
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        with connection:
            while data := connection.recv(256 * 1024):
                now = time.monotonic()
                whole, _, rest = (rest + data).rpartition(b"\n")
                for number in _ID.findall(whole + b"\n"):
                    self.arrived.setdefault(int(number), now)
