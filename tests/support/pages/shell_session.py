"""A shell that lives as long as a page is read: one command after the other, as a reader would type them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_POLL_SECS = 0.02


class ShellSession:
    """bash in a directory; directory, variables and background processes stay from command to command.

    Args:
        home: where it starts, and its HOME.
        environ: all of its environment but HOME.
    """

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._notes = Path(tempfile.mkdtemp(prefix="notes-", dir=home.parent))
        self._number = 0
        self._services: list[Path] = []
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-s"],
            cwd=home,
            env={**environ, "HOME": str(home), "TERM": "dumb"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, timeout: float) -> tuple[int, str]:
        """Exit code and output (both streams, as on a terminal) of a command.

        Raises:
            TimeoutError: it did not end in time, in seconds.
        """
        script, output, done = self._note(command)
        self._tell(f". {script} > {output} 2>&1 < /dev/null; echo $? > {done}.new; mv {done}.new {done}")
        give_up = time.monotonic() + timeout
        while not done.exists():
            if time.monotonic() > give_up or self._bash.poll() is not None:
                raise TimeoutError(f"{command}\n{output.read_text(errors='replace') if output.exists() else ''}")
            time.sleep(_POLL_SECS)
        return int(done.read_text()), output.read_text("utf-8", "replace")

    def start(self, command: str) -> Path:
        """Starts a command that runs until it is told to end; returns the file of its output."""
        script, output, pid = self._note(f"exec {command}")
        output.touch()
        self._tell(f". {script} > {output} 2>&1 < /dev/null & echo $! > {pid}")
        self._services.append(pid)
        return output

    def stop(self, timeout: float) -> list[int]:
        """Sends SIGTERM to what was started; returns the exit codes."""
        codes = []
        for note in self._services:
            code, _ = self.run(f"kill $(cat {note}) && wait $(cat {note})", timeout)
            codes.append(code)
        self._services.clear()
        return codes

    def close(self) -> None:
        """Ends everything that is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def _note(self, command: str) -> tuple[Path, Path, Path]:
        self._number += 1
        script, output, done = (self._notes / f"{self._number}.{kind}" for kind in ("sh", "out", "done"))
        script.write_text(command + "\n")
        return script, output, done

    def _tell(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()


@contextlib.contextmanager
def shell_session(home: Path, environ: Mapping[str, str]) -> Iterator[ShellSession]:
    """A shell for as long as the block lasts; none of its processes outlives it."""
    session = ShellSession(home, environ)
    try:
        yield session
    finally:
        session.close()
