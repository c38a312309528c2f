"""The command line under test: in this process for speed, or as a process where signals and processes matter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from support.jobs import warm_commands
from support.programs import HANG_SECS, wait_until

HEAD = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"

_MARK = "DOVEBEAM_TEST_MARK"
_MODULE = [sys.executable, "-m", "dovebeam.pipelines.cli"]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def dovebeam(*arguments: object) -> Ran:
    """Runs a command line in this process."""
    from dovebeam.pipelines.cli import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


def dovebeam_process(*arguments: object) -> Ran:
    """Runs the command as a process."""
    command = [*_MODULE, *map(str, arguments)]
    done = warm_commands.run(command, check=False, capture_output=True, text=True, timeout=HANG_SECS)
    return Ran(done.returncode, done.stdout, done.stderr)


def interrupted(arguments: Sequence[object], begun: Callable[[], bool], signal_number: int, group: bool = False) -> Ran:
    """Runs the command as a process and sends it a signal once it has begun its work; none of its processes may outlive it.

    Args:
        arguments: the command line.
        begun: whether it is time.
        signal_number: the signal.
        group: whether its whole process group gets it, as with Ctrl-C on a terminal.
    """
    process = warm_commands.Popen(
        [*_MODULE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, _MARK: (mark := uuid.uuid4().hex)},
    )
    try:
        wait_until(lambda: begun() or process.poll() is not None, "the job to begin")
        (os.killpg if group else os.kill)(process.pid, signal_number)
        out, err = process.communicate(timeout=HANG_SECS)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    wait_until(lambda: not _processes_with(mark), "worker processes to end")
    return Ran(process.returncode, out, err)


def _processes_with(mark: str) -> list[str]:
    """The processes that inherited an environment with a mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # somebody else's, or gone
            continue
    return found


def exporter(name: str, driver: str, format_: str = "json", *settings: str) -> str:
    """An event_exporter block."""
    lines = [f"driver = {driver}", f"format = {format_}", *settings]
    return f"event_exporter {name} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def metric(name: str, filter_: str, to: str) -> str:
    """A metric block."""
    return f"metric {name} {{\n  filter = {filter_}\n  exporter = {to}\n}}\n"


def write_config(folder: Path, *blocks: str) -> Path:
    """A configuration of these blocks."""
    path = folder / "dovecot.conf"
    path.write_text(HEAD + "".join(blocks))
    return path


def write_events(folder: Path, lines: Sequence[bytes], name: str = "events.json") -> Path:
    """A file of lines."""
    path = folder / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@contextmanager
def inside(folder: Path):
    """The working directory is `folder`."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
