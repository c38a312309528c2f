"""A stream as the real command, over a directory of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.jobs import warm_commands
from support.jobs.commands import exporter, metric, write_config
from support.programs import wait_until


def line(number: int) -> bytes:
    """An event that can be told from others."""
    return b'{"event":"e","hostname":"h","categories":[],"fields":{"id":%d}}\n' % number


class Job:
    """A stream over a directory in a folder of its own."""

    def __init__(self, folder: Path, *settings: str, driver: str = "file", ledger: bool = True) -> None:
        self.folder, self.spool, self.out = folder, folder / "spool", folder / "out.json"
        self.spool.mkdir()
        settings = settings or (f"file_path = {self.out}",)
        config = write_config(folder, exporter("x", driver, "json", *settings), metric("m", "event=*", "x"))
        self.options = [
            *("--config", str(config), "--follow", str(self.spool), "--state", str(folder / "state")),
            *("--rejects", str(folder / "rejects.jsonl")),
        ]
        if ledger:
            self.options += ["--ledger", str(folder / "ledger.json")]

    def append(self, data: bytes, name: str = "a.json") -> None:
        """Writes to a file of the directory."""
        with open(self.spool / name, "ab") as file:
            file.write(data)

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """The real command, while it runs."""
        process = warm_commands.Popen(
            [sys.executable, "-m", "dovebeam.pipelines.cli", "stream", *self.options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def has(self, *numbers: int) -> bool:
        """Whether exactly these events are in the output, in this order."""
        return self.out.exists() and self.out.read_bytes() == b"".join(map(line, numbers))

    def wait_for(self, *numbers: int) -> None:
        """Until they are."""
        wait_until(lambda: self.has(*numbers), f"{numbers} to be delivered")

    def acknowledged(self) -> int:
        """Bytes of the directory that the state says were handed on."""
        path = self.folder / "state" / "follow.json"
        return sum(each["offset"] for each in json.loads(path.read_bytes())["files"]) if path.exists() else 0
