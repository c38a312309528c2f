"""Slow targets and live logs: what an export makes of a slow target, its memory, and how late a stream is.

    python tests/bench/soak.py latency [--events N] [--connections N ...]
    python tests/bench/soak.py memory [--mebibytes N] [--batch N] [--workers N]
    python tests/bench/soak.py stream [--events N] [--per_second N]

All run the real command against a server on loopback, and check by the ids of the events that each arrived.

`latency`: a target that answers after 50 ms, one event a request. Events times 50 ms by the number of connections is the
least time that delivery can take; measured is the time from the first request to the last answer, in the server's log.

`memory`: a target that reads 1 MB/s over all connections together, so that a gibibyte takes 18 minutes. The resident
memory of all processes of the job is looked at five times a second.

`stream`: a log that is followed while a program writes it and rotates it, delivered to a unix socket. Measured is the
time from the end of writing an event to its arrival; the first two seconds are left out.

Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.jobs.fault_server_job import FaultJob
from support.jobs.fault_server_memory import watched_job
from support.jobs.log_writer import LogWriter
from support.jobs.stream_job import StreamJob, UnixListener, numbered_events
from support.programs import HANG_SECS
from support.servers.fault_server_control import FaultServer, fault_server

DELAY_SECS = 0.05
TARGET_OF_LIMIT = 1.3
TARGET_PEAK = 500_000_000
TARGET_P99_SECS = 1.0
BYTES_PER_SEC = 1_000_000
PAD = 400
PATIENT = "http_client_request_absolute_timeout = 60 s"


def latency(events: int, connections: int) -> float:
    """The time that delivery took, in units of the least time that it can take."""
    with tempfile.TemporaryDirectory() as name, fault_server(Path(name), {"delay_secs": DELAY_SECS}) as server:
        job = FaultJob(Path(name))
        job.prepare(server.url, (PATIENT, f"http_client_max_parallel_connections = {connections}"), events=events)
        job.check(job.run(), server, delivered=events)
        times = [seen.at for seen in server.seen()]
    taken, least = max(times) - min(times) + DELAY_SECS, events * DELAY_SECS / connections
    print(f"{events:,} events, {connections} connections: {taken:.1f} s, at least {least:.1f} s: {taken / least:.2f}")
    return taken / least


def memory(size: int, batch: int, workers: int) -> int:
    """The most memory in bytes while so many bytes of events go to the slow target."""
    with tempfile.TemporaryDirectory() as name, fault_server(Path(name), {"bytes_per_sec": BYTES_PER_SEC}) as server:
        job = FaultJob(Path(name))
        batches = (f"http_post_batch_max_events = {batch}", "http_post_batch_max_bytes = 256 k") if batch > 1 else ()
        job.prepare(
            server.url, (PATIENT, "http_client_max_parallel_connections = 4", *batches), total_bytes=size, pad=PAD
        )
        more = (f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing") if workers > 1 else ()
        with watched_job(job.arguments(*more)) as watch:
            begin = time.monotonic()
            code = watch.process.wait(3 * size / BYTES_PER_SEC + 120)
            taken = time.monotonic() - begin
        print(
            f"{size / 1e6:,.0f} MB of events in {taken:,.0f} s: exit code {code}, peak {watch.peak() / 1e6:.0f} MB, "
            f"of the second half {watch.peak(begin=taken / 2) / 1e6:.0f} MB"
        )
        _check_all_arrived(job, server)
    return watch.peak() if code == 0 else TARGET_PEAK * 1000


def _check_all_arrived(job: FaultJob, server: FaultServer) -> None:
    arrived = server.delivered()
    print(f"{len(job.ids):,} events: {len(arrived):,} arrived, {sum(arrived.values()) - len(arrived):,} more than once")
    if set(arrived) != set(job.ids) or job.rejected():
        raise SystemExit("events are missing")


def stream(events: int, per_second: int) -> float:
    """How late the slowest hundredth of the events of a live log is, in seconds."""
    with tempfile.TemporaryDirectory() as name, UnixListener(Path(name) / "socket") as listener:
        job = StreamJob(Path(name), "unix", f"unix_path = {listener.path}")
        job.first_look()
        lines = numbered_events(0, events)
        with job.running() as process, LogWriter(job.log, lines, per_second, 2 * per_second) as writer:
            writer.wait(HANG_SECS)
            job.wait_until(process, lambda: len(listener.arrived) >= events, "all events")
            job.drain(process)
    if sorted(listener.arrived) != list(range(events)):
        raise SystemExit("events are missing")
    late = sorted(listener.arrived[number] - writer.written_at[number] for number in range(2 * per_second, events))
    p99 = late[len(late) * 99 // 100]
    print(
        f"{events:,} events, {per_second:,} a second, {writer.rotations} rotations: "
        f"median {statistics.median(late):.3f} s, p99 {p99:.3f} s, at most {late[-1]:.3f} s"
    )
    return p99


def main() -> int:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("latency")
    part.add_argument("--events", type=int, default=20_000)
    part.add_argument("--connections", type=int, nargs="+", default=[64, 128, 200])
    part = parts.add_parser("memory")
    part.add_argument("--mebibytes", type=int, default=1024)
    part.add_argument("--batch", type=int, default=500)
    part.add_argument("--workers", type=int, default=1)
    part = parts.add_parser("stream")
    part.add_argument("--events", type=int, default=300_000)
    part.add_argument("--per_second", type=int, default=5_000)
    options = parser.parse_args()
    if options.part == "stream":
        return int(stream(options.events, options.per_second) > TARGET_P99_SECS)
    if options.part == "latency":
        return int(max(latency(options.events, count) for count in options.connections) > TARGET_OF_LIMIT)
    return int(memory(options.mebibytes * 1024 * 1024, options.batch, options.workers) > TARGET_PEAK)


if __name__ == "__main__":
    sys.exit(main())
