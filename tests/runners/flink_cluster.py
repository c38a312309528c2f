"""A Flink of several processes on loopback: a job manager, and task managers that tests may kill."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.jobs.engines import flink_conf, quick_java, require_flink
from support.programs import HANG_SECS, free_port, require_program, wait_until

_HEAP = "-Xmx384m"
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_MEMORY = {
    "taskmanager__cpu__cores": 1,
    "taskmanager__memory__task__heap__size": "256m",
    "taskmanager__memory__task__off_heap__size": "0m",
    "taskmanager__memory__framework__heap__size": "64m",
    "taskmanager__memory__framework__off_heap__size": "32m",
    "taskmanager__memory__managed__size": "32m",
    "taskmanager__memory__network__min": "96m",
    "taskmanager__memory__network__max": "96m",
    "taskmanager__memory__jvm_metaspace__size": "128m",
    "taskmanager__memory__jvm_overhead__min": "64m",
    "taskmanager__memory__jvm_overhead__max": "64m",
}
# A killed task manager is noticed within seconds, since nothing answers at its address, and its work is done again. The
# timeout is for a busy machine: one that is only slow would be taken for lost, and all would begin again.
_RECOVERY = {
    "heartbeat__interval": 500,
    "heartbeat__timeout": 120_000,
    "restart_strategy__type": "fixed-delay",
    "restart_strategy__fixed_delay__attempts": 20,
    "restart_strategy__fixed_delay__delay": "500 ms",
    "classloader__resolve_order": "parent-first",
}
_STARTS = 3
# What Flink's own start scripts open on Java 17.
_OPENED = "lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks"


@dataclass
class FlinkCluster:
    """The cluster.

    Attributes:
        folder: of its configuration and of what its processes say.
        address: of its REST service, for `--flink_master`.
        task_managers: the processes that do the work, by their names.
        processes: all that were started.
    """

    folder: Path
    address: str
    task_managers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_job_manager(self) -> None:
        """The process that all others find by its port."""
        self._start(_JOB_MANAGER, "job-manager")

    def start_task_manager(self) -> None:
        """One more process, with one slot."""
        name = f"task-manager-{len(self.processes)}"
        self.task_managers[name] = self._start(_TASK_MANAGER, name, "-D", f"taskmanager.resource-id={name}")

    def kill_a_busy_one(self) -> None:
        """SIGKILL for a task manager that has a task in hand."""
        busy = [each["id"] for each in self.ask("taskmanagers")["taskmanagers"] if each["freeSlots"] == 0]
        assert busy, "no task manager has anything to do"
        self.task_managers.pop(busy[0]).kill()

    def free_slots(self) -> int:
        """How many tasks could run; 0 as long as there is no answer."""
        return int(self.ask("overview").get("slots-available", 0))

    def ended(self) -> bool:
        """Whether one of its processes is gone, as when another program took its port."""
        return any(process.poll() is not None for process in self.processes)

    def last_words(self) -> str:
        """The ends of what its processes have said."""
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in sorted(self.folder.glob("*.log")))

    def failures(self) -> list[str]:
        """Why jobs had to begin again, over all jobs."""
        jobs = [job["id"] for job in self.ask("jobs").get("jobs", [])]
        found = [self.ask(f"jobs/{job}/exceptions")["exceptionHistory"]["entries"] for job in jobs]
        return [entry["exceptionName"] for entries in found for entry in entries]

    def ask(self, path: str) -> Any:
        """What the REST service says."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def _start(self, main: str, name: str, *options: str) -> subprocess.Popen[bytes]:
        opens = [word for part in _OPENED.split() for word in ("--add-opens", f"java.base/java.{part}=ALL-UNNAMED")]
        java = [require_program("java"), _HEAP, *quick_java(self.folder), *opens, "-cp", str(require_flink()), main]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([*java, "--configDir", str(self.folder), *options], stdout=log, stderr=log)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def flink_cluster(folder: Path, task_managers: int) -> Iterator[FlinkCluster]:
    """A cluster with one slot in each task manager; nothing of it is left behind."""
    with contextlib.ExitStack() as stack:
        for attempt in range(_STARTS):
            cluster = stack.enter_context(_begun(folder / f"cluster-{attempt}", task_managers))
            wait_until(lambda: cluster.free_slots() == task_managers or cluster.ended(), "Flink's task managers")  # noqa: B023
            if not cluster.ended():
                yield cluster
                return
            stack.close()
        pytest.fail(f"Flink ended {_STARTS} times while it started: {cluster.last_words()}")


@contextlib.contextmanager
def _begun(folder: Path, task_managers: int) -> Iterator[FlinkCluster]:
    """Its processes while they start, on ports that another program may take before they do."""
    rest, rpc = free_port(), free_port()
    ports = {"rest__port": rest, "jobmanager__rpc__port": rpc}
    cluster = FlinkCluster(flink_conf(folder, **ports, **_MEMORY, **_RECOVERY), f"127.0.0.1:{rest}")
    try:
        cluster.start_job_manager()
        for _ in range(task_managers):
            cluster.start_task_manager()
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
            process.wait(HANG_SECS)
