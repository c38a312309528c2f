"""Jobs on a Flink of several processes, one of which is killed in the middle of the work."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from runners.flink_cluster import FlinkCluster, flink_cluster

from support.jobs import warm_commands
from support.jobs.commands import exporter, metric, write_config
from support.jobs.engines import flink_runner
from support.oracle.corpus import check_arrived, corpus_lines
from support.programs import HANG_SECS, wait_until

TASK_MANAGERS = 3
FILES, REPEATS = 4, 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """One task manager more than a job needs."""
    with flink_cluster(tmp_path_factory.mktemp("flink"), TASK_MANAGERS) as running:
        yield running


@contextmanager
def command(folder: Path, cluster: FlinkCluster, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The real command, on two task managers, with its workers in its own process."""
    where = [
        *flink_runner(cluster.folder),
        f"--flink_master={cluster.address}",
        "--parallelism=2",
        "--environment_type=LOOPBACK",
    ]
    words = [sys.executable, "-m", "dovebeam.pipelines.cli", *map(str, arguments), *where]
    process = warm_commands.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def end(process: subprocess.Popen[str]) -> str:
    """What it said on standard error, once it ended well."""
    _, said = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, said
    return said


def file_config(folder: Path, writing: str) -> Path:
    """One exporter, to the file `target` or files whose names begin so."""
    target = f"file_path = {folder}/target"
    return write_config(
        folder, exporter("f", "file", "json", target, f"file_writing = {writing}"), metric("m", "event=*", "f")
    )


def written(folder: Path) -> Counter[bytes]:
    """The lines of the target."""
    return Counter(line for path in folder.glob("target*") for line in path.read_bytes().splitlines())


def kill(cluster: FlinkCluster) -> None:
    """Kills a task manager that works, and gives the cluster another one for the next test."""
    before = len(cluster.failures())
    cluster.kill_a_busy_one()
    wait_until(lambda: len(cluster.failures()) > before, "Flink to notice")
    cluster.start_task_manager()


@pytest.mark.parametrize("writing", ["append", "shards"])
def test_batch(writing: str, tmp_path: Path, cluster: FlinkCluster) -> None:
    """Flink does the work again: every event is there at least once, in shards exactly once, and the command is done."""
    lines = corpus_lines("events.json.gz")[:10_000]
    once = gzip.compress(b"".join(line + b"\n" for line in lines), 1)
    for number in range(FILES):
        (tmp_path / f"{number}.json.gz").write_bytes(once * REPEATS)
    config = file_config(tmp_path, writing)
    with command(tmp_path, cluster, "export", "--config", config, "--input", tmp_path / "*.json.gz") as process:
        wait_until(lambda: process.poll() is not None or _has_begun(tmp_path), "the job to work")
        assert process.poll() is None, process.communicate()
        kill(cluster)
        end(process)
    expected = Counter({line: FILES * REPEATS * count for line, count in Counter(lines).items()})
    if writing == "shards":
        assert written(tmp_path) == expected
    else:
        assert written(tmp_path) >= expected


def _has_begun(folder: Path) -> bool:
    return any(path.stat().st_size > 1 << 20 for path in folder.rglob("*") if path.suffix not in {".gz", ".log"})


def test_stream(tmp_path: Path, cluster: FlinkCluster) -> None:
    """The stream goes on by itself where its last acknowledgement was, and is drained in the end."""
    lines = list(dict.fromkeys(corpus_lines("events.json.gz")))[:3000]
    events = tmp_path / "events.log"
    job = ["--config", file_config(tmp_path, "append"), "--follow", events, "--state", tmp_path / "state"]
    append(events, lines[:1000])
    with command(tmp_path, cluster, "stream", *job, "--rejects", tmp_path / "rejects") as process:
        wait_for(tmp_path, lines[:1000], process)
        append(events, lines[1000:2000])
        kill(cluster)
        append(events, lines[2000:])
        wait_for(tmp_path, lines, process)
        process.send_signal(signal.SIGTERM)
        end(process)
    check_arrived(written(tmp_path), lines, torn=1)


def append(path: Path, lines: Sequence[bytes]) -> None:
    """As the writer of the file that is followed."""
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


def wait_for(folder: Path, lines: Sequence[bytes], process: subprocess.Popen[str]) -> None:
    """Until all of these lines are in the target."""
    wait_until(lambda: process.poll() is not None or set(written(folder)) >= set(lines), "all events")
    assert process.poll() is None, process.communicate()
