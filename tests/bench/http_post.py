"""Requests per second of http-post against nginx on loopback, one event a request, beside a bare loop and aiohttp.

    python tests/bench/http_post.py [--rounds N] [--requests N] [--connections N ...] [--json FILE]

All three post the same events of the corpus to the same nginx (204, kept-alive connections), in turn within each round, so
that a noisy machine slows all. The bare loop is the least that libcurl's multi interface needs, and sends less: no Date and
Connection headers, no time limit, no look at the status. "Per core" divides by the client's own CPU seconds; nginx runs
beside it. The figures are medians over the rounds, the targets are for the number of connections that is best for
dovebeam, which an operator is free to choose. Exits with 1 if
one is missed; `--ratio_only` leaves out the absolute one, for machines slower than the one that it was set on, and for
busy ones. aiohttp is left out if it is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pycurl

sys.path.insert(0, str(Path(__file__).parents[1]))
from dovebeam.transforms.drivers import HttpPostDriver
from support.corpus import corpus_lines
from support.nginx import run_nginx

BATCH = 500
TARGET_PER_CORE = 60_000
TARGET_OF_BARE = 60_000 / 90_000
"""What the first target is of the bare loop's speed, on the machine that both were measured on."""


def bare_loop(url: str, payloads: Sequence[bytes], connections: int) -> None:
    """The least that pycurl's multi interface needs."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections)
    rest = iter(payloads)
    running = 0
    for _ in range(connections):
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Accept:", "Expect:"])
        handle.setopt(pycurl.POSTFIELDS, next(rest))
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


def dovebeam(url: str, payloads: Sequence[bytes], connections: int) -> None:
    """The driver, in batches as a pipeline makes them."""
    driver = HttpPostDriver(
        url,
        http_client_max_parallel_connections=connections,
        http_client_request_absolute_timeout_msec=10_000,
    )
    with driver.open() as connection:
        for start in range(0, len(payloads), BATCH):
            failures = connection.send(payloads[start : start + BATCH])
            if failures:
                raise RuntimeError(failures[0].reason)


def aiohttp_client(url: str, payloads: Sequence[bytes], connections: int) -> None:
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
            rest = iter(payloads)
            await asyncio.gather(*(worker(session, rest) for _ in range(connections)))

    asyncio.run(run())


def measure(function: Callable[[], None], requests: int) -> tuple[float, float]:
    """Requests per second of the clock, and per second of this process's CPU time."""
    clock, cpu = time.perf_counter(), time.process_time()
    function()
    return requests / (time.perf_counter() - clock), requests / (time.process_time() - cpu)


def run_rounds(url: str, payloads: Sequence[bytes], connections: int, rounds: int) -> dict[str, dict[str, float]]:
    """The medians of each client, by its name."""
    slow = payloads[: max(connections, len(payloads) // 5)]
    clients: dict[str, tuple[Callable[..., None], Sequence[bytes]]] = {
        "bare libcurl multi loop": (bare_loop, payloads),
        "dovebeam http-post": (dovebeam, payloads),
    }
    if importlib.util.find_spec("aiohttp"):
        clients["aiohttp"] = (aiohttp_client, slow)
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, (client, work) in clients.items():
            results[name].append(measure(lambda c=client, w=work: c(url, w, connections), len(work)))  # type: ignore[misc]
    bare = [cpu for _, cpu in results["bare libcurl multi loop"]]
    return {
        name: {
            "requests_per_second": round(statistics.median(clock for clock, _ in figures)),
            "requests_per_second_per_core": round(statistics.median(cpu for _, cpu in figures)),
            "best_per_core": round(max(cpu for _, cpu in figures)),
            # Neighbours in time are compared, so that a change of the machine's load between rounds cancels out.
            "of_bare": round(statistics.median(cpu / b for (_, cpu), b in zip(figures, bare, strict=True)), 3),
        }
        for name, figures in results.items()
    }


def _per_core(row: dict[str, float]) -> float:
    return row["requests_per_second_per_core"]


def main() -> int:
    """Runs the bench; the exit code says whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--ratio_only", action="store_true", help="judge by the ratio to the bare loop alone")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    lines = corpus_lines("events.json.gz")
    payloads = [lines[number % len(lines)] for number in range(arguments.requests)]
    figures = {}
    with tempfile.TemporaryDirectory() as folder, run_nginx(Path(folder), access_log=False) as nginx:
        url = f"{nginx.url}/ingest?source=bench"
        for connections in arguments.connections:
            figures[connections] = run_rounds(url, payloads, connections, arguments.rounds)
    print(f"{'connections':>11}  {'client':24} {'requests/s':>11} {'per core':>10} {'best':>10} {'of bare':>8}")
    for connections, clients in figures.items():
        for name, row in clients.items():
            clock, core, best, of_bare = row.values()
            print(f"{connections:>11}  {name:24} {clock:>11,} {core:>10,} {best:>10,} {of_bare:>8.2f}")
    best_row = max((clients["dovebeam http-post"] for clients in figures.values()), key=_per_core)
    ours, ratio = best_row["requests_per_second_per_core"], best_row["of_bare"]
    targets = {
        "requests per second per core": {"value": ours, "target": TARGET_PER_CORE, "met": ours >= TARGET_PER_CORE},
        "ratio to the bare loop": {
            "value": ratio,
            "target": round(TARGET_OF_BARE, 3),
            "met": ratio >= TARGET_OF_BARE,
        },
    }
    report = {"figures": figures, "targets": targets}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))
    for name, target in targets.items():
        print(f"{'met' if target['met'] else 'MISSED'}: {name} {target['value']:,}, target {target['target']:,}")
    judged = list(targets.values())[1 if arguments.ratio_only else 0 :]
    return 0 if all(target["met"] for target in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
