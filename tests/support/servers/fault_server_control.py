"""Starts `fault_server`, tells it how to misbehave, kills it, and reads what it acknowledged."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.programs import HANG_SECS, free_port

_PROGRAM = Path(__file__).with_name("fault_server.py")


@dataclass(frozen=True)
class Seen:
    """One request in the server's log.

    Attributes:
        at: when it was answered, on the clock of `time.monotonic`.
        connection: the number of its connection.
        status: of the answer, 0 if there was none that says one.
        size: bytes of the body as it came.
        ids: the events in the body.
        headers: some of the request's headers, names in small letters.
    """

    at: float
    connection: int
    status: int
    size: int
    ids: list[str]
    headers: dict[str, str]


class FaultServer:
    """A target on loopback that can be told what to do, killed, and started again at the same port."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", certificate: tuple[Path, Path] | None = None) -> None:
        self._host = host
        self._certificate = certificate
        self._process: subprocess.Popen[str] | None = None
        self.log = folder / f"acknowledged-{host}.jsonl"
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where events are posted to."""
        return f"{'https' if self._certificate else 'http'}://{self._host}:{self.port}/events"

    def start(self, *rules: dict[str, Any]) -> None:
        """Starts it with these rules in force; see `fault_server_rules.Rule`."""
        certificate, key = self._certificate or ("", "")
        self._process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    str(_PROGRAM),
                    "--host",
                    self._host,
                    "--port",
                    str(self.port),
                    "--log",
                    str(self.log),
                ),
                *(("--certificate", str(certificate), "--key", str(key)) if certificate else ()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(None)
        if rules:
            self.behave(*rules)

    def behave(self, *rules: dict[str, Any]) -> None:
        """Replaces the rules; in force when this returns."""
        self._say(json.dumps(rules))

    def kill(self) -> None:
        """SIGKILL; what it acknowledged is in its log."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate(timeout=HANG_SECS)

    def _say(self, command: str | None) -> None:
        process = self._process
        assert process is not None, "the server is not running"
        assert process.stdin is not None
        assert process.stdout is not None
        if command is not None:
            process.stdin.write(command + "\n")
            process.stdin.flush()
        if not process.stdout.readline():  # ends with the process
            pytest.fail(f"the fault server ended with {process.wait(HANG_SECS)}")

    def seen(self) -> list[Seen]:
        """All requests so far; a line that is being written is left out."""
        lines = self.log.read_bytes().splitlines(keepends=True) if self.log.exists() else []
        records = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return [Seen(r["at"], r["connection"], r["status"], r["bytes"], r["ids"], r["headers"]) for r in records]

    def delivered(self) -> Counter[str]:
        """The events that were acknowledged with 2xx, and how often."""
        return Counter(event for seen in self.seen() if 200 <= seen.status < 300 for event in seen.ids)


@contextlib.contextmanager
def fault_server(folder: Path, *rules: dict[str, Any], **options: Any) -> Iterator[FaultServer]:
    """A running server for one test.

    Args:
        folder: for its log.
        rules: in force from the start.
        options: `host` and `certificate` of `FaultServer`.
    """
    server = FaultServer(folder, **options)
    try:
        server.start(*rules)
        yield server
    finally:
        server.kill()
