"""Engines that others wrote, and how `dovebeam export` is told to use them, as a user would type it.

Prism is built by .ci/build-prism, Beam's Flink job server by .ci/build-flink, both bound to 127.0.0.1. The job server
runs a Flink within its own process; `flink_cluster` has one of several processes.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from support.programs import accepts, built_programs, free_port, leave_out, require_program, running

PRISM = "prism-2.77.0"
FLINK = "flink-1.19-beam-2.62.0"

WAYS = {
    "prism, workers in the launcher": lambda folder: prism_options(),
    "prism, workers in processes": lambda folder: [*prism_options(), *process_options(folder)],
    "flink, workers in the launcher": lambda folder: [*flink_options(folder), "--environment_type=LOOPBACK"],
    "flink, workers in processes": lambda folder: [*flink_options(folder), *process_options(folder)],
}
"""Ways to run a job on an engine: functions from an empty folder to options of the command line."""

WITHOUT_PROCESSES = [way for way in WAYS if "launcher" in way]
"""Each engine once, where it does not matter whose processes the workers are."""


def prism_options() -> list[str]:
    """An engine that the job starts and ends itself."""
    require_go()
    return ["--runner=PrismRunner", f"--prism_location={require_program(PRISM)}"]


def flink_options(folder: Path) -> list[str]:
    """The same with Flink, in two slots."""
    conf = flink_conf(folder / "flink")
    return [*flink_runner(conf), "--flink_master=[local]", "--parallelism=2", f"--flink_conf_dir={conf}"]


def quick_java(folder: Path) -> list[str]:
    """Options of Java for a process that ends before better machine code, or a garbage collector's own threads, pay.

    What it leaves behind when it is killed is in the folder. In the directory of temporary files each start of Flink
    would check the checksums of all that earlier ones have left: gigabytes after some runs, for minutes.
    """
    return ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={folder}"]


def flink_conf(folder: Path, **settings: object) -> Path:
    """A folder with a configuration in which Flink listens on 127.0.0.1 only; of itself it would do so everywhere.

    Its temporary files are in the folder, too; see `quick_java`. Settings are named as Flink names them, with `__` for a
    dot and `_` for a hyphen.
    """
    hosts = {"rest__bind_address", "jobmanager__bind_host", "taskmanager__bind_host"}
    hosts |= {"rest__address", "jobmanager__rpc__address", "taskmanager__host"}
    folder.mkdir(exist_ok=True)
    lines = {**dict.fromkeys(sorted(hosts), "127.0.0.1"), "io__tmp__dirs": folder, **settings}
    text = "".join(f"{name.replace('__', '.').replace('_', '-')}: {value}\n" for name, value in lines.items())
    (folder / "config.yaml").write_text(text)
    return folder


def flink_runner(folder: Path) -> list[str]:
    """Beam's job server, which the job starts, with temporary files in a folder; where Flink itself is must be added.

    Its port is named, since the one that Beam would choose may be taken before Java has started.
    """
    java = [f"--job_server_jvm_properties={option}" for option in quick_java(folder)]
    return ["--runner=FlinkRunner", f"--flink_job_server_jar={require_flink()}", f"--job_port={free_port()}", *java]


def process_options(folder: Path) -> list[str]:
    """Workers as processes that the engine starts."""
    return ["--environment_type=PROCESS", f"--environment_option=process_command={worker_command(folder)}"]


def worker_command(folder: Path) -> Path:
    """What `dovebeam-worker` is where dovebeam is installed."""
    script = folder / "dovebeam-worker"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dovebeam.pipelines.running.boot "$@"\n')
    script.chmod(0o755)
    return script


def require_go() -> None:
    """Prism is built with Go; a machine that has neither goes without these tests."""
    if shutil.which("go") is None and shutil.which(PRISM) is None:
        leave_out("no Go on this machine to build Prism with")


def require_flink() -> Path:
    """The job server's jar, built with Maven; a machine without Java goes without these tests."""
    jar = built_programs() / FLINK / "job-server.jar"
    if not jar.exists():
        if shutil.which("javac") is None or shutil.which("mvn") is None:
            leave_out("no JDK or no Maven on this machine to build Beam's Flink job server with")
        require_program(FLINK)
    return jar


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
