"""Engines that others wrote, and how `dovebeam export` is told to use them, as a user would type it.

Prism is built by .ci/build-prism, bound to 127.0.0.1. Flink joins in where DOVEBEAM_FLINK_JOB_SERVER names the jar of
Beam's Flink job server; it then runs as the cluster within that jar's process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import accepts, free_port, require_program, running

PRISM = "prism-2.77.0"
FLINK_JAR = os.environ.get("DOVEBEAM_FLINK_JOB_SERVER", "")

WAYS = {
    "prism, workers in the launcher": lambda folder: prism_options(),
    "prism, workers in processes": lambda folder: [*prism_options(), *process_options(folder)],
}
"""Ways to run a job on an engine: functions from an empty folder to options of the command line."""

if FLINK_JAR:
    WAYS |= {
        "flink, workers in the launcher": lambda folder: [*flink_options(), "--environment_type=LOOPBACK"],
        "flink, workers in processes": lambda folder: [*flink_options(), *process_options(folder)],
    }


def prism_options() -> list[str]:
    """An engine that the job starts and ends itself."""
    require_go()
    return ["--runner=PrismRunner", f"--prism_location={require_program(PRISM)}"]


def flink_options() -> list[str]:
    """The same with Flink, in two slots."""
    return ["--runner=FlinkRunner", f"--flink_job_server_jar={FLINK_JAR}", "--flink_master=[local]", "--parallelism=2"]


def process_options(folder: Path) -> list[str]:
    """Workers as processes that the engine starts."""
    return ["--environment_type=PROCESS", f"--environment_option=process_command={worker_command(folder)}"]


def worker_command(folder: Path) -> Path:
    """What `dovebeam-worker` is where dovebeam is installed."""
    script = folder / "dovebeam-worker"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dovebeam.pipelines.boot "$@"\n')
    script.chmod(0o755)
    return script


def require_go() -> None:
    """Prism needs Go to be built; a machine without it, CI's included, goes without these tests."""
    if shutil.which("go") is None and shutil.which(PRISM) is None:
        pytest.skip("no Go on this machine to build Prism with")


@contextlib.contextmanager
def prism_server(folder: Path) -> Iterator[str]:
    """A Prism that waits for jobs; its address."""
    require_go()
    port = free_port()
    command = [require_program(PRISM), f"--job_port={port}", "--serve_http=false"]
    with running(command, folder / "prism.log", lambda: accepts(port)):
        yield f"127.0.0.1:{port}"


def listening_addresses(pid: int) -> set[str]:
    """The addresses, as in /proc, on which a process and its children accept TCP connections."""
    inodes = set()
    for process in [pid, *children(pid)]:
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(link))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def children(pid: int) -> list[int]:
    """All processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def command_line(pid: int) -> str:
    """The words a process was started with; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
