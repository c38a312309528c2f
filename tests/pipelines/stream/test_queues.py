"""A stream of several exporters: none waits for another whose target hangs or fails, and nothing is lost meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dovebeam.pipelines.stream.options import DEFAULT_MAX_QUEUE_BYTES
from dovebeam.pipelines.stream.queues import StreamQueues
from dovebeam.transforms.config import load_config
from dovebeam.transforms.drivers import FileDriver
from dovebeam.transforms.plan.decoding import PayloadBatch
from dovebeam.transforms.plan.queue import QueueWriter
from dovebeam.transforms.progress import JobMonitor
from support.jobs.commands import dovebeam, exporter, metric, write_config
from support.jobs.fault_server_job import event_line
from support.jobs.stream_command import Job
from support.jobs.stream_job import UnixListener, numbers_in
from support.programs import HANG_SECS, wait_until
from support.servers.fault_server_control import fault_server

HANGS = {"action": "never"}
COUNT = 60


def events(begin: int, end: int) -> bytes:
    """Events of these numbers."""
    return b"".join(event_line(f"e{number:07}", 60).encode() + b"\n" for number in range(begin, end))


def configure(job: Job, driver: str, *settings: str, to_file: bool = True) -> None:
    """An exporter of this kind and, behind it in the configuration, one that writes the file."""
    blocks = [exporter("other", driver, "json", *settings), metric("m1", "event=fault_test", "other")]
    if to_file:
        blocks += [exporter("file", "file", "json", f"file_path = {job.out}"), metric("m2", "event=*", "file")]
    write_config(job.folder, *blocks)


def http(url: str, *settings: str) -> tuple[str, ...]:
    """An exporter that waits long for its answers."""
    return ("http-post", f"http_post_url = {url}", "http_client_request_absolute_timeout = 10 min", *settings)


def drain(process: subprocess.Popen[str]) -> str:
    """Ends a stream as an operator does; what it said."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=HANG_SECS)
    assert process.returncode == 0, err
    return err


def said(process: subprocess.Popen[str], text: str) -> str:
    """The first line on standard error that has this text."""
    return next(told for told in process.stderr if text in told)


def wait_for_file(job: Job, end: int) -> None:
    """Until the file has the events up to this number, in their order."""
    wait_until(lambda: numbers_in(job.out) == list(range(end)), f"{end} events in the file")


def count_lines(path: Path) -> int:
    """The lines of a file that may not be there yet."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def account(job: Job) -> dict[str, dict[str, Any]]:
    """The accounts of exporters in the ledger, whose equations hold."""
    ledger = json.loads((job.folder / "ledger.json").read_bytes())
    assert ledger["imbalances"] == []
    return {each["name"]: each for each in ledger["exporters"]}


@contextmanager
def hanging(kind: str, folder: Path) -> Iterator[tuple[tuple[str, ...], Callable[[], bool]]]:
    """A target that takes nothing: the exporter's driver and settings, and whether something was sent to it."""
    if kind == "http":
        with fault_server(folder, HANGS) as server:
            yield http(server.url), lambda: bool(server.seen())
    elif kind == "unix":
        with UnixListener(folder / "s", deaf=True) as listener:
            yield ("unix", f"unix_path = {folder / 's'}"), lambda: listener.connections > 0
    else:
        settings = ("log_target = syslog+tcp:127.0.0.1:9", "log_retry_budget = 10 min")
        yield ("log", *settings), lambda: True


@pytest.mark.parametrize("kind", ["http", "unix", "syslog"])
def test_a_target_that_hangs_or_is_away_keeps_nothing_from_the_others(tmp_path: Path, kind: str) -> None:
    """The file has all events while the other exporter has none; those are told of, kept, and in the account."""
    job = Job(tmp_path)
    with hanging(kind, tmp_path) as (settings, is_reached):
        configure(job, *settings)
        with job.running() as process:
            for number in range(0, COUNT, COUNT // 4):
                job.append(events(number, number + COUNT // 4))
                wait_for_file(job, number + COUNT // 4)
            wait_until(is_reached, "the other target to be asked")
            err = drain(process)
    assert f"event_exporter other: {COUNT} payloads were not delivered and are kept in {tmp_path}/state/queues" in err
    accounts = account(job)
    assert (accounts["file"]["delivered"], accounts["file"]["waiting"]) == (COUNT, 0)
    assert (accounts["other"]["delivered"], accounts["other"]["waiting"]) == (0, COUNT)


def test_killed_while_one_hangs(tmp_path: Path) -> None:
    """The next start delivers what waited, in its order, also if nothing more comes; the keys are the same."""
    job = Job(tmp_path)
    with fault_server(tmp_path, HANGS) as server:
        configure(
            job,
            *http(
                server.url, "http_post_idempotency_header = Idempotency-Key", "http_client_max_parallel_connections = 1"
            ),
        )
        job.append(events(0, COUNT))
        with job.running() as process:
            wait_for_file(job, COUNT)
            wait_until(lambda: len(server.seen()) > 0, "a request")
            # What is in a queue before the position is saved is read again, and delivered twice.
            wait_until(lambda: job.acknowledged() == len(events(0, COUNT)), "the position to be saved")
            process.kill()
        keys = {seen.ids[0]: seen.headers["idempotency-key"] for seen in server.seen()}
        server.behave({})
        with job.running() as process:
            wait_until(lambda: len(server.delivered()) >= COUNT, "the rest")
            err = drain(process)
        delivered = [seen for seen in server.seen() if 200 <= seen.status < 300]
    assert [number for seen in delivered for number in seen.ids] == [f"e{number:07}" for number in range(COUNT)]
    assert keys.items() <= {seen.ids[0]: seen.headers["idempotency-key"] for seen in delivered}.items()
    assert f"event_exporter other: {COUNT} payloads of an earlier start are delivered first" in err
    accounts = account(job)
    assert (accounts["other"]["queued_before"], accounts["other"]["delivered"]) == (COUNT, COUNT)


def test_a_target_that_comes_back(tmp_path: Path) -> None:
    """It gets what has waited, and the operator hears of both."""
    job = Job(tmp_path)
    configure(job, "unix", f"unix_path = {tmp_path / 's'}")
    with job.running() as process:
        job.append(events(0, COUNT))
        wait_for_file(job, COUNT)
        failed = said(process, "event_exporter other: connect(")
        with UnixListener(tmp_path / "s") as listener:
            wait_until(lambda: len(listener.arrived) == COUNT, "the events at the target")
            drain(process)
    assert f"other exporters go on, {COUNT} payloads wait on disk, trying again in" in failed
    assert account(job)["other"]["delivered"] == COUNT


def test_rejects_of_several_exporters(tmp_path: Path) -> None:
    """Each is a whole line with where its event came from, and in the account with its reason."""
    job = Job(tmp_path)
    with fault_server(tmp_path, {"status": 400}) as server:
        blocks = [
            *(exporter(name, *http(server.url)[:1], "json", *http(server.url)[1:]) for name in "ab"),
            metric("ma", "event=fault_test", "a"),
            metric("mb", "event=fault_test", "b"),
        ]
        write_config(tmp_path, *blocks)
        job.append(events(0, COUNT) + b"no event\n")
        rejects = tmp_path / "rejects.jsonl"
        with job.running() as process:
            wait_until(lambda: count_lines(rejects) == 2 * COUNT + 1, "the rejects")
            drain(process)
    records = [json.loads(text) for text in rejects.read_bytes().splitlines()]
    length = len(events(0, 1))
    for name in "ab":
        of_one = [record for record in records if record.get("exporter") == name]
        assert [record["sourceOffset"] for record in of_one] == [number * length for number in range(COUNT)]
        assert {(record["metric"], record["stage"], record["httpStatus"]) for record in of_one} == {
            (f"m{name}", "deliver", 400)
        }
        assert all(record["sourceUri"].startswith(f"{job.spool}/a.json#") for record in of_one)
        assert account(job)[name]["rejected"] == COUNT


def test_full_queue(tmp_path: Path) -> None:
    """Reading pauses, which is told; nothing that was read is lost, and a drain does not wait for room."""
    job = Job(tmp_path)
    with UnixListener(tmp_path / "s", deaf=True):
        configure(job, "unix", f"unix_path = {tmp_path / 's'}")
        with job.running("--max_queue_bytes", "8K") as process:
            full = tmp_path / "state" / "queues" / "other" / "full"
            number = 0
            while not full.exists():
                job.append(events(number, number + 1))
                number += 1
                wait_until(lambda end=number: full.exists() or len(numbers_in(job.out)) == end, "it")
            total = number + COUNT
            job.append(events(number, total))
            err = drain(process)
        assert "its queue of 8,192 bytes is full (--max_queue_bytes); nothing is read until it has room" in err
    with UnixListener(tmp_path / "s2") as listener:
        configure(job, "unix", f"unix_path = {tmp_path / 's2'}")
        with job.running("--max_queue_bytes", "8K") as process:
            wait_for_file(job, total)
            wait_until(lambda: len(listener.arrived) == total, "all events")
            drain(process)


def test_an_exporter_that_left_the_configuration(tmp_path: Path) -> None:
    """What waits for it is told of and kept, and delivered when it is back."""
    job = Job(tmp_path)
    configure(job, "unix", f"unix_path = {tmp_path / 's'}")
    job.append(events(0, COUNT))
    with job.running() as process:
        wait_for_file(job, COUNT)
        drain(process)
    write_config(
        tmp_path,
        *(exporter(name, "file", "json", f"file_path = {tmp_path / name}") for name in "ab"),
        *(metric(f"m{name}", "event=*", name) for name in "ab"),
    )
    with job.running() as process:
        job.append(events(COUNT, COUNT + 1))
        wait_until(lambda: all(numbers_in(tmp_path / name) == [COUNT] for name in "ab"), "an event")
        err = drain(process)
    assert f"{tmp_path}/state/queues/other holds {COUNT} payloads for an event_exporter that no metric uses" in err
    configure(job, "unix", f"unix_path = {tmp_path / 's'}", to_file=False)  # alone, and yet its queue is delivered
    with UnixListener(tmp_path / "s") as listener, job.running() as process:
        wait_until(lambda: len(listener.arrived) == COUNT, "the events at the target")
        drain(process)


def test_damaged_segment(tmp_path: Path) -> None:
    """It is told with what to do; other exporters go on, and so does this one when the file is moved away."""
    job = Job(tmp_path)
    configure(job, "unix", f"unix_path = {tmp_path / 's'}")
    job.append(events(0, 1))
    with job.running() as process:
        wait_for_file(job, 1)
        drain(process)
    (segment,) = [path for path in (tmp_path / "state" / "queues" / "other").iterdir() if path.name[0].isdigit()]
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1] + b"?")
    with UnixListener(tmp_path / "s") as listener, job.running() as process:
        job.append(events(1, 2))
        wait_for_file(job, 2)
        said(process, f"{segment} is damaged (its checksum is wrong); restore it")
        segment.write_bytes(whole)
        wait_until(lambda: len(listener.arrived) == 2, "the events at the target")
        drain(process)


def test_a_queue_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exporter tries again until it can; the other one delivers."""
    root = tmp_path / "queues"
    rejects = str(tmp_path / "rejects.jsonl")
    targets = {name: tmp_path / f"{name}.out" for name in "ab"}
    drivers = {name: FileDriver(str(path)) for name, path in targets.items()}
    told: list[str] = []
    queues = StreamQueues(
        str(root), load_config(write_config(tmp_path)), drivers, rejects=rejects, max_bytes=DEFAULT_MAX_QUEUE_BYTES
    )
    with JobMonitor(), queues.worked():
        queues.deliver()
        (root / "a").rmdir()
        (root / "a").write_bytes(b"")
        writer = QueueWriter(str(root), "b")
        writer.add("b", PayloadBatch([b"1"]))
        writer.commit()
        wait_until(targets["b"].exists, "the other one")
        wait_until(lambda: told.append(capsys.readouterr().err) or "listdir(" in "".join(told), "it")
        (root / "a").unlink()
        writer = QueueWriter(str(root), "a")
        writer.add("a", PayloadBatch([b"2"]))
        writer.commit()
        wait_until(targets["a"].exists, "the one that failed")
    assert (targets["a"].read_bytes(), targets["b"].read_bytes()) == (b"2\n", b"1\n")


def test_two_streams_with_one_state(tmp_path: Path) -> None:
    """The second one delivers nothing of the first one's queues."""
    job = Job(tmp_path)
    configure(job, "drop")
    with job.running() as process:
        job.append(events(0, 1))
        wait_for_file(job, 1)
        ran = dovebeam("stream", *job.options)
        assert ran.code == 1
        assert "another dovebeam stream uses" in ran.err
        drain(process)
