"""`dovebeam export` beside a stock Beam pipeline and a plain Python loop: events/s, CPU seconds, peak memory.

    python tests/bench/export.py [--events N] [--rounds N] [--folder DIR] [--json FILE]

Everybody reads the same file, made by repeating the corpus, selects by the same three terms, and writes JSON to a file.
The first filter is that of the core's benchmark, and its targets decide the exit code. The second selects a quarter of
all bytes and names no event; it shows what such a filter costs, beside the same targets. Each side is a process of its
own, dovebeam the real command, in turn within each round, so that a noisy machine slows all.
The rate is that of the steady state: each runs a small file, too, and the difference of events is divided by the
difference of times, so that starting Python and importing Beam are not in it. The times of whole runs are shown beside.
Exits with 1 if a target of the first filter is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from rivals import FILTERS

from support.oracle.corpus import corpus_lines

SMALL = 20_000
LEAST_TIMES_STOCK = 4.0
LEAST_OF_PLAIN = 0.75
MOST_MEMORY_MB = 400
SAME_MEMORY = 1.10  # "the same" for a tenth of the events

CONFIG = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
event_exporter out {{
  driver = file
  file_path = {target}
  format = json
}}
metric m {{
  filter = {filter}
  exporter = out
}}
"""


class Run(NamedTuple):
    """One process from its start to its end.

    Attributes:
        wall: seconds.
        cpu: seconds of user and system.
        peak_mb: largest resident memory; that of the largest process, if it had children.
        lines: lines of its output.
    """

    wall: float
    cpu: float
    peak_mb: float
    lines: int


class Side(NamedTuple):
    """One of the compared programs, as the command that reads one file and writes another."""

    name: str
    command: Callable[[str, Path, Path], list[str]]


def dovebeam_command(filter_name: str, source: Path, target: Path) -> list[str]:
    """The real command line."""
    config = target.with_suffix(".conf")
    config.write_text(CONFIG.format(target=target, filter=FILTERS[filter_name]))
    return [sys.executable, "-m", "dovebeam.pipelines.cli", "export", "--config", str(config), "--input", str(source)]


def rival_command(function: str) -> Callable[[str, Path, Path], list[str]]:
    """A function of `rivals` in a process of its own, imported under its real name so that Beam can send it around."""

    def command(filter_name: str, source: Path, target: Path) -> list[str]:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import rivals; "
        return [sys.executable, "-c", f"{code}rivals.{function}({filter_name!r}, {str(source)!r}, {str(target)!r})"]

    return command


SIDES = [
    Side("dovebeam export", dovebeam_command),
    Side("stock Beam", rival_command("stock_beam")),
    Side("plain loop", rival_command("plain_loop")),
]


def write_events(path: Path, count: int) -> None:
    """The corpus again and again, up to `count` events."""
    lines = corpus_lines("events.json.gz")
    whole = b"".join(line + b"\n" for line in lines)
    with path.open("wb") as out:
        for _ in range(count // len(lines)):
            out.write(whole)
        out.writelines(line + b"\n" for line in lines[: count % len(lines)])


def run(side: Side, filter_name: str, source: Path) -> Run:
    """Runs one side on one file, beside which it writes."""
    folder = source.parent
    target = folder / "out.json"
    command = side.command(filter_name, source, target)
    log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    begin = time.perf_counter()
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2), (os.POSIX_SPAWN_CLOSE, log)],
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begin
    os.close(log)
    if status:
        sys.exit(f"{side.name} failed:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
    with target.open("rb") as out:
        lines = sum(block.count(b"\n") for block in iter(lambda: out.read(1 << 20), b""))
    target.unlink()
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines)


def measure(filter_name: str, sizes: dict[str, int], rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """The figures of every side with one filter: medians over the rounds."""
    sources = {name: folder / f"{name}.json" for name in sizes}
    runs: dict[tuple[str, str], list[Run]] = {}
    for _ in range(rounds):
        for side in SIDES:
            for size in ("small", "all"):
                runs.setdefault((side.name, size), []).append(run(side, filter_name, sources[size]))
    for side in SIDES:
        runs[side.name, "tenth"] = [run(side, filter_name, sources["tenth"])]
    found = {runs[side.name, "all"][0].lines for side in SIDES}
    if len(found) != 1:
        sys.exit(f"the sides wrote different numbers of lines: {found}")
    if found == {0}:
        sys.exit("nothing was selected")
    return {side.name: figures_of(side.name, runs, sizes) for side in SIDES}


def figures_of(name: str, runs: dict[tuple[str, str], list[Run]], sizes: dict[str, int]) -> dict[str, float]:
    """The figures of one side."""
    small, whole = runs[name, "small"], runs[name, "all"]
    more = sizes["all"] - sizes["small"]
    wall = [many.wall - few.wall for many, few in zip(whole, small, strict=True)]
    cpu = [many.cpu - few.cpu for many, few in zip(whole, small, strict=True)]
    return {
        "events_per_sec": more / statistics.median(wall),
        "events_per_cpu_sec": more / statistics.median(cpu),
        "wall_sec": statistics.median(each.wall for each in whole),
        "cpu_sec": statistics.median(each.cpu for each in whole),
        "peak_mb": max(each.peak_mb for each in whole),
        "peak_mb_of_a_tenth": runs[name, "tenth"][0].peak_mb,
        "start_sec": statistics.median(each.wall for each in small),
    }


def verdict(figures: dict[str, dict[str, float]]) -> dict[str, bool]:
    """The targets, and whether they were reached."""
    ours, stock, plain = (figures[side.name] for side in SIDES)
    times_stock = ours["events_per_sec"] / stock["events_per_sec"]
    of_plain = ours["events_per_sec"] / plain["events_per_sec"]
    grown = ours["peak_mb"] / ours["peak_mb_of_a_tenth"]
    return {
        f"{times_stock:.1f} times stock Beam, at least {LEAST_TIMES_STOCK}": times_stock >= LEAST_TIMES_STOCK,
        f"{of_plain:.2f} of the plain loop, at least {LEAST_OF_PLAIN}": of_plain >= LEAST_OF_PLAIN,
        f"peak memory {ours['peak_mb']:.0f} MB, under {MOST_MEMORY_MB}": ours["peak_mb"] < MOST_MEMORY_MB,
        f"{grown:.2f} times the memory for 10 times the events, at most {SAME_MEMORY}": grown <= SAME_MEMORY,
    }


def show(figures: dict[str, dict[str, float]], targets: dict[str, bool]) -> None:
    """Prints the table of one filter."""
    heads = f"{'events/s':>10} {'per CPU s':>10} {'wall s':>8} {'CPU s':>7} {'start s':>8} {'peak MB':>8} {'1/10':>6}"
    print(f"{'':16} {heads}")
    for name, row in figures.items():
        print(
            f"{name:16} {row['events_per_sec']:10,.0f} {row['events_per_cpu_sec']:10,.0f} {row['wall_sec']:8.2f} "
            f"{row['cpu_sec']:7.2f} {row['start_sec']:8.2f} {row['peak_mb']:8.0f} {row['peak_mb_of_a_tenth']:6.0f}"
        )
    for text, reached in targets.items():
        print(f"{'reached' if reached else 'MISSED '}  {text}")


def main() -> int:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="at least 100,000; fewer measure noise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the files are made, about 600 bytes an event (default: the system's)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    events = max(arguments.events, 100_000)
    sizes = {"small": min(SMALL, events // 10), "tenth": events // 10, "all": events}
    figures, targets = {}, {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, count in sizes.items():
            write_events(Path(folder) / f"{name}.json", count)
        for filter_name, text in FILTERS.items():
            figures[filter_name] = measure(filter_name, sizes, arguments.rounds, Path(folder))
            targets[filter_name] = verdict(figures[filter_name])
            print(f"\n{text}\n")
            show(figures[filter_name], targets[filter_name])
    result = {"events": events, "figures": figures, "targets": targets}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if all(targets["named"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
