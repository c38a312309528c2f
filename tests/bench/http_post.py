"""Events per second of http-post against nginx on loopback, one and 500 a request, beside a bare loop and aiohttp.

    python tests/bench/http_post.py [--rounds N] [--requests N] [--events N] [--connections N ...] [--json FILE]

All three post the same events of the corpus to the same nginx (204, kept-alive connections), in turn within each round, so
that a noisy machine slows all. The bare loop is the least that libcurl's multi interface needs, and sends less: no Date and
Connection headers, no time limit, no look at the status, no care for an endpoint in trouble. With 500 events a request all
three make JSON lines of them. "Per core" divides by the client's own CPU seconds; nginx runs beside it. The figures are
medians over the rounds, the targets are for the number of connections that is best for dovebeam, which an operator is free
to choose. Exits with 1 if one is missed; `--ratio_only` leaves out the absolute ones, for machines slower than the one that
they were set on, and for busy ones. aiohttp is left out if it is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pycurl

sys.path.insert(0, str(Path(__file__).parents[1]))
from dovebeam.transforms.drivers import HttpPostDriver
from support.oracle.corpus import corpus_lines
from support.servers.nginx import run_nginx

BATCH = 500
TARGET_PER_CORE = 60_000
TARGET_BATCHED_PER_CORE = 300_000
TARGET_OF_BARE = 60_000 / 90_000
"""What the first target is of the bare loop's speed, on the machine that both were measured on."""


def bodies_of(payloads: Sequence[bytes], events: int) -> Iterator[bytes]:
    """The bodies of the rivals: the events as they are, or so many of them as lines."""
    if events == 1:
        return iter(payloads)
    return (b"\n".join((*payloads[at : at + events], b"")) for at in range(0, len(payloads), events))


def bare_loop(url: str, payloads: Sequence[bytes], connections: int, events: int) -> None:
    """The least that pycurl's multi interface needs."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections)
    rest = bodies_of(payloads, events)
    running = 0
    for body in itertools.islice(rest, connections):
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Accept:", "Expect:"])
        handle.setopt(pycurl.POSTFIELDS, body)
        multi.add_handle(handle)
        running += 1
    while running:
        multi.perform()
        _, answered, failed = multi.info_read()
        if failed:
            raise RuntimeError(failed[0][2])
        if not answered:
            multi.select(1.0)
            continue
        for handle in answered:
            multi.remove_handle(handle)
            payload = next(rest, None)
            if payload is None:
                running -= 1
            else:
                handle.setopt(pycurl.POSTFIELDS, payload)
                multi.add_handle(handle)
    multi.close()


def dovebeam(url: str, payloads: Sequence[bytes], connections: int, events: int) -> None:
    """The driver, in batches as a pipeline makes them."""
    driver = HttpPostDriver(
        url,
        http_client_max_parallel_connections=connections,
        http_client_request_absolute_timeout_msec=10_000,
        http_post_batch_max_events=events,
    )
    size = driver.max_batch_events
    with driver.open() as connection:
        for start in range(0, len(payloads), size):
            failures = connection.send(payloads[start : start + size])
            if failures:
                raise RuntimeError(failures[0].reason)


def aiohttp_client(url: str, payloads: Sequence[bytes], connections: int, events: int) -> None:
    """The same work by aiohttp, one task a connection."""
    aiohttp: Any = importlib.import_module("aiohttp")

    async def worker(session: Any, rest: Any) -> None:
        for payload in rest:
            async with session.post(url, data=payload, headers={"Content-Type": "application/json"}) as response:
                if response.status != 204:
                    raise RuntimeError(response.status)

    async def run() -> None:
        connector = aiohttp.TCPConnector(limit=connections)
        async with aiohttp.ClientSession(connector=connector, skip_auto_headers=["User-Agent", "Accept"]) as session:
            rest = bodies_of(payloads, events)
            await asyncio.gather(*(worker(session, rest) for _ in range(connections)))

    asyncio.run(run())


def measure(function: Callable[[], None], events: int) -> tuple[float, float]:
    """Events per second of the clock, and per second of this process's CPU time."""
    clock, cpu = time.perf_counter(), time.process_time()
    function()
    return events / (time.perf_counter() - clock), events / (time.process_time() - cpu)


def run_rounds(
    url: str, payloads: Sequence[bytes], connections: int, events: int, rounds: int
) -> dict[str, dict[str, float]]:
    """The medians of each client, by its name, with so many events a request."""
    slow = payloads if events > 1 else payloads[: max(connections, len(payloads) // 5)]
    clients: dict[str, tuple[Callable[..., None], Sequence[bytes]]] = {
        "bare libcurl multi loop": (bare_loop, payloads),
        "dovebeam http-post": (dovebeam, payloads),
    }
    if importlib.util.find_spec("aiohttp"):
        clients["aiohttp"] = (aiohttp_client, slow)
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, (client, work) in clients.items():
            results[name].append(measure(lambda c=client, w=work: c(url, w, connections, events), len(work)))  # type: ignore[misc]
    bare = [cpu for _, cpu in results["bare libcurl multi loop"]]
    return {
        name: {
            "events_per_second": round(statistics.median(clock for clock, _ in figures)),
            "events_per_second_per_core": round(statistics.median(cpu for _, cpu in figures)),
            "best_per_core": round(max(cpu for _, cpu in figures)),
            # Neighbours in time are compared, so that a change of the machine's load between rounds cancels out.
            "of_bare": round(statistics.median(cpu / b for (_, cpu), b in zip(figures, bare, strict=True)), 3),
        }
        for name, figures in results.items()
    }


def _per_core(row: dict[str, float]) -> float:
    return row["events_per_second_per_core"]


def _targets(figures: dict[int, dict[str, dict[str, float]]], per_core: int, case: str) -> dict[str, dict[str, Any]]:
    """What was reached with the best number of connections, beside what is wanted."""
    best = max((clients["dovebeam http-post"] for clients in figures.values()), key=_per_core)
    wanted = {
        f"events per second per core, {case}": (_per_core(best), per_core, True),
        f"ratio to the bare loop, {case}": (best["of_bare"], round(TARGET_OF_BARE, 3), False),
    }
    return {
        name: {"value": value, "target": target, "met": value >= target, "absolute": absolute}
        for name, (value, target, absolute) in wanted.items()
    }


def main() -> int:
    """Runs the bench; the exit code says whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40_000, help="events that are sent one a request")
    parser.add_argument("--events", type=int, default=400_000, help=f"events that are sent {BATCH} a request")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--batch_connections", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--ratio_only", action="store_true", help="judge by the ratio to the bare loop alone")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    lines = corpus_lines("events.json.gz")
    figures: dict[int, dict[int, dict[str, dict[str, float]]]] = {1: {}, BATCH: {}}
    with tempfile.TemporaryDirectory() as folder, run_nginx(Path(folder), access_log=False) as nginx:
        url = f"{nginx.url}/ingest?source=bench"
        for events, count, several in (
            (1, arguments.requests, arguments.connections),
            (BATCH, arguments.events, arguments.batch_connections),
        ):
            payloads = [lines[number % len(lines)] for number in range(count)]
            for connections in several:
                figures[events][connections] = run_rounds(url, payloads, connections, events, arguments.rounds)
    print(
        f"{'a request':>9} {'connections':>11}  {'client':24} {'events/s':>11} {'per core':>10} {'best':>10} {'of bare':>8}"
    )
    for events, by_connections in figures.items():
        for connections, clients in by_connections.items():
            for name, row in clients.items():
                clock, core, best, of_bare = row.values()
                print(f"{events:>9} {connections:>11}  {name:24} {clock:>11,} {core:>10,} {best:>10,} {of_bare:>8.2f}")
    targets = {
        **_targets(figures[1], TARGET_PER_CORE, "one a request"),
        **_targets(figures[BATCH], TARGET_BATCHED_PER_CORE, f"{BATCH} a request"),
    }
    report = {"figures": figures, "targets": targets}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))
    for name, target in targets.items():
        print(f"{'met' if target['met'] else 'MISSED'}: {name} {target['value']:,}, target {target['target']:,}")
    judged = [target for target in targets.values() if not (arguments.ratio_only and target["absolute"])]
    return 0 if all(target["met"] for target in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
