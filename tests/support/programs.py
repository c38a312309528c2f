"""Programs that tests start: found, or the test is skipped; in CI (DOVEBEAM_NO_SKIP=1) a missing one is a failure."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

_FIRST_PORT = 12_000  # below are those of well-known servers


def built_programs() -> Path:
    """The folder of programs that scripts in .ci build from source."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("DOVEBEAM_TEST_PROGRAMS") or cache / "dovebeam" / "bin")


def require_program(name: str) -> str:
    """The path of a program; skips the test if it is missing, or fails it where nothing may be skipped."""
    where = os.environ.get("PATH", "")
    if os.environ.get("DOVEBEAM_BARE") != "1":  # else as on a machine that has nothing but what is on this PATH
        where += f":/usr/sbin:/sbin:{built_programs()}"
    path = shutil.which(name, path=where)
    if path is None:
        leave_out(f"{name} is not installed; .ci/install-programs installs it")
    return path


def leave_out(reason: str) -> NoReturn:
    """Skips the test, or fails it where nothing may be skipped."""
    if os.environ.get("DOVEBEAM_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive of the project's own; the first releases of Python 3.11 have no filters for that."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder)


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago.

    It is none of those that the kernel gives to connections and to servers which ask for any, since a program that
    takes a while to start would find it taken; unless the kernel may give all of them.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        wanted = random.SystemRandom().randrange(_FIRST_PORT, end) if end > _FIRST_PORT else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", wanted))
            port: int = probe.getsockname()[1]
            return port


HANG_SECS = 600.0
"""How long a test waits for what comes soon, before it takes it for a hang; generous, since a machine may be busy."""


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Waits for a condition; fails the test when it doesn't come true, also on a machine that is busy."""
    give_up = time.monotonic() + HANG_SECS
    while not done():
        if time.monotonic() > give_up:
            pytest.fail(f"waited {HANG_SECS} s without success: {what}")
        time.sleep(0.005)


def accepts(port: int) -> bool:
    """Whether something listens on a TCP port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def python_at_work(code: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process in the middle of its work, and what it said; killed at the end of the block."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def running(command: Sequence[str], output: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in the foreground until the block ends."""
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        wait_until(
            lambda: process.poll() is not None or ready(),
            f"{command[0]} to start: {output.read_text(errors='replace')}",
        )
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with {process.returncode}: {output.read_text(errors='replace')}")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # one that takes its time to end is killed
            process.kill()
            process.wait(HANG_SECS)
