"""A `dovebeam export` against a fault server, and the account of every event by its id."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from support.jobs.commands import Ran, dovebeam_process, exporter, interrupted, metric, write_config
from support.servers.fault_server_control import FaultServer

PATIENT = ("http_client_request_absolute_timeout = 20 s",)
"""For cases that are not about time: no attempt ends early because this machine is busy."""

_ID = re.compile(rb'"id":"([^"]+)"')


@dataclass
class FaultJob:
    """A configuration and a file of events with ids, run as the real command.

    Attributes:
        folder: for everything that is written.
        ids: of the events in the input.
    """

    folder: Path
    ids: list[str] = field(default_factory=list)

    @property
    def rejects_path(self) -> Path:
        """The file of rejects."""
        return self.folder / "rejects.jsonl"

    @property
    def ledger_path(self) -> Path:
        """The ledger."""
        return self.folder / "ledger.json"

    @property
    def input_path(self) -> Path:
        """The input, compressed, so that a gibibyte of it costs no disk."""
        return self.folder / "events.json.zst"

    def prepare(
        self, url: str, settings: Sequence[str] = PATIENT, *, events: int = 0, total_bytes: int = 0, pad: int = 0
    ) -> None:
        """Writes the configuration and an input.

        Args:
            url: the target.
            settings: more lines of the exporter's block.
            events: how many.
            total_bytes: instead: as many as make so many bytes.
            pad: each is longer by so many bytes.
        """
        lines = [f"http_post_url = {url}", *settings]
        write_config(
            self.folder, exporter("target", "http-post", "json", *lines), metric("all", "event=fault_test", "target")
        )
        events = events or total_bytes // (len(event_line("e0000000", pad)) + 1)
        self.ids = [f"e{number:07}" for number in range(events)]
        with self.input_path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packed:
            for name in self.ids:
                packed.write(event_line(name, pad).encode() + b"\n")

    def add_event(self, name: str, *, pad: int) -> None:
        """Appends one event to the input."""
        self.ids.append(name)
        with self.input_path.open("ab") as file:  # a further frame
            file.write(zstandard.compress(event_line(name, pad).encode() + b"\n"))

    def arguments(self, *more: object) -> list[object]:
        """The command line."""
        return [
            *("export", "--config", self.folder / "dovecot.conf", "--input", self.input_path),
            *("--rejects", self.rejects_path, "--ledger", self.ledger_path, *more),
        ]

    def run(self, *more: object) -> Ran:
        """Runs it to its end."""
        return dovebeam_process(*self.arguments(*more))

    def interrupt(self, begun: Callable[[], bool], signal_number: int, *more: object) -> Ran:
        """Runs it until it has begun, then sends it a signal."""
        return interrupted(self.arguments(*more), begun, signal_number)

    def rejects(self) -> list[dict[str, Any]]:
        """The records of what was rejected."""
        return [json.loads(line) for line in self.rejects_path.read_bytes().splitlines()] if self.has_rejects() else []

    def has_rejects(self) -> bool:
        """Whether any reject was written."""
        return self.rejects_path.exists()

    def rejected(self) -> Counter[str]:
        """The events in the rejects, by the original bytes of their payloads, and how often."""
        return Counter(
            found.decode()
            for reject in self.rejects()
            for found in _ID.findall(base64.b64decode(reject["payloadBytes"], validate=True))
        )

    def ledger(self) -> dict[str, Any]:
        """What the ledger says."""
        ledger: dict[str, Any] = json.loads(self.ledger_path.read_bytes())
        return ledger

    def check(self, ran: Ran, server: FaultServer | None, *, delivered: int, twice: bool = False) -> None:
        """Every event is accounted for, by the server's own log and the rejects, and the ledger says the same.

        Args:
            ran: how the command ended; it must have succeeded.
            server: the target, None if there was none.
            delivered: how many events arrived.
            twice: whether an event may have arrived more often than once, or have arrived and been rejected, because
                an answer was lost.
        """
        assert ran.code == 0, ran.err
        arrived, rejected = server.delivered() if server else Counter(), self.rejected()
        assert set(arrived) | set(rejected) == set(self.ids)
        assert set(rejected.values()) <= {1}
        if not twice:
            assert set(arrived.values()) <= {1}
            assert not set(arrived) & set(rejected)
        ledger = self.ledger()
        assert ledger["imbalances"] == []
        assert ledger["read"] == ledger["matched"] == len(self.ids)
        assert (ledger["delivered"], ledger["rejected"]["total"]) == (delivered, len(self.ids) - delivered)
        assert ledger["rejected"]["total"] == len(rejected)


def event_line(name: str, pad: int = 0) -> str:
    """One exported event with an id."""
    padding = ',"pad":"' + "p" * pad + '"' if pad else ""
    return (
        '{"event":"fault_test","hostname":"mail1.example.net","start_time":"2026-11-22T08:19:27.993970Z",'
        '"end_time":"2026-11-22T08:19:27.994055Z","categories":["imap"],'
        f'"fields":{{"id":"{name}"{padding}}}}}'
    )
