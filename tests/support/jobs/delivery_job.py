"""An export of events with ids as the real command, beside which a test does something to the target."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.jobs import warm_commands
from support.jobs.commands import exporter, metric, write_config
from support.jobs.fault_server_job import event_line
from support.programs import HANG_SECS, wait_until

_ID = re.compile(rb'"id":"([^"]+)"')


class DeliveryJob:
    """One exporter, to which all events go.

    Attributes:
        folder: for configuration, input, rejects and ledger.
        ids: of the events.
    """

    def __init__(self, folder: Path, driver: str, *settings: str, events: int, pad: int = 100) -> None:
        self.folder = folder
        self.ids = [f"e{number:07}" for number in range(events)]
        write_config(folder, exporter("target", driver, "json", *settings), metric("all", "event=fault_test", "target"))
        lines = (event_line(name, pad) + "\n" for name in self.ids)
        (folder / "events.json").write_text("".join(lines))

    def start(self) -> subprocess.Popen[str]:
        """Starts it."""
        arguments = ["--config", "dovecot.conf", "--input", "events.json", "--rejects", "rejects.jsonl"]
        return warm_commands.Popen(
            [sys.executable, "-m", "dovebeam.pipelines.cli", "export", *arguments, "--ledger", "ledger.json"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, in_the_middle: Callable[[], None] = lambda: None) -> tuple[int, str]:
        """Runs it to its end, or fails the test when it hangs; returns its exit code and what it said."""
        process = self.start()
        try:
            in_the_middle()
            _, err = process.communicate(timeout=HANG_SECS)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return process.returncode, err

    def check_ledger(self) -> None:
        """All were delivered, none rejected, and the equations hold."""
        ledger: dict[str, Any] = json.loads((self.folder / "ledger.json").read_text())
        assert ledger["imbalances"] == []
        assert (ledger["read"], ledger["delivered"], ledger["rejected"]["total"]) == (len(self.ids),) * 2 + (0,)


def ids_in(data: bytes) -> list[str]:
    """The ids of the events in whatever a target has kept."""
    return [found.decode() for found in _ID.findall(data)]


@contextlib.contextmanager
def listener_process(path: Path, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs support/line_listener.py."""
    program = Path(__file__).with_name("line_listener.py")
    folder.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, str(program), str(path), str(folder), *arguments])
    try:
        wait_until(path.exists, "the listener to listen")
        yield process
    finally:
        process.kill()
        process.wait(HANG_SECS)
