"""How the cost of an export grows: 1, 2, 4 and 8 million events, one worker and two.

    python tests/bench/scale.py [--millions 1,2,4,8] [--rounds N] [--folder DIR] [--json FILE]

The exponent is the slope of log(time) over log(events), without the time that a handful of events takes, which is
start-up: 1 is linear. The speed-up is the time of one worker by that of two, also without start-up, for the largest
file; whole runs are shown beside. The rival is the plain loop of `rivals`, which checks and counts nothing, on the
whole file for one worker and on its halves in two processes for two: what the machine itself gains from a second core.
Exits with 1 if the exponent is above 1.1 or the speed-up of dovebeam under 1.7.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from export import SIDES, Side, dovebeam_command, run, write_events
from rivals import FILTERS

FEW = 20_000
MOST_EXPONENT = 1.1
LEAST_SPEED_UP = 1.7
TWO_WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]

ONE = SIDES[0]
TWO = Side("dovebeam export, 2", lambda name, source, target: [*dovebeam_command(name, source, target), *TWO_WORKERS])
PLAIN = SIDES[2]

Seconds = dict[tuple[str, int], float]
"""The median wall seconds of a side for a number of events."""


def halved(path: Path) -> list[Path]:
    """The two halves of a file of lines, each in a folder of its own so that outputs don't meet."""
    data = path.read_bytes()
    middle = data.index(b"\n", len(data) // 2) + 1
    halves = []
    for number, part in enumerate((data[:middle], data[middle:])):
        folder = path.parent / f"half{number}-{path.stem}"
        folder.mkdir()
        halves.append(folder / "events.json")
        halves[-1].write_bytes(part)
    return halves


def wall_of_one(side: Side, filter_name: str, source: Path) -> float:
    """Wall seconds of a side on a file."""
    return run(side, filter_name, source).wall


def wall_of_two(filter_name: str, halves: Sequence[Path]) -> float:
    """Wall seconds of two plain loops at a time."""
    threads = [threading.Thread(target=run, args=(PLAIN, filter_name, half)) for half in halves]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def measure(filter_name: str, counts: Sequence[int], rounds: int, folder: Path) -> Seconds:
    """The medians of all sides, in turn within each round."""
    walls: dict[tuple[str, int], list[float]] = {}
    for count in (FEW, *counts):
        source = folder / f"{count}.json"
        write_events(source, count)
        halves = halved(source)
        jobs: dict[str, Callable[[], float]] = {
            ONE.name: lambda source=source: wall_of_one(ONE, filter_name, source),
            TWO.name: lambda source=source: wall_of_one(TWO, filter_name, source),
            PLAIN.name: lambda source=source: wall_of_one(PLAIN, filter_name, source),
            f"{PLAIN.name}, 2": lambda halves=halves: wall_of_two(filter_name, halves),
        }
        for _ in range(rounds):
            for name, job in jobs.items():
                walls.setdefault((name, count), []).append(job())
        for path in (source, *halves):
            path.unlink()
    return {key: statistics.median(values) for key, values in walls.items()}


def exponent(seconds: Seconds, name: str, counts: Sequence[int]) -> float:
    """The slope of log(time) over log(events)."""
    xs = [math.log(count) for count in counts]
    ys = [math.log(max(seconds[name, count] - seconds[name, FEW], 0.01)) for count in counts]
    return statistics.linear_regression(xs, ys).slope


def speed_up(seconds: Seconds, one: str, two: str, count: int) -> float:
    """Time of one worker by the time of two, without start-up."""
    return (seconds[one, count] - seconds[one, FEW]) / (seconds[two, count] - seconds[two, FEW])


def figures_of(seconds: Seconds, counts: Sequence[int]) -> dict[str, float]:
    """What is judged and shown."""
    most, plain_two = counts[-1], f"{PLAIN.name}, 2"
    return {
        "exponent of dovebeam, 1 worker": exponent(seconds, ONE.name, counts),
        "exponent of dovebeam, 2 workers": exponent(seconds, TWO.name, counts),
        "exponent of the plain loop": exponent(seconds, PLAIN.name, counts),
        "speed-up of dovebeam on 2 workers": speed_up(seconds, ONE.name, TWO.name, most),
        "the same for the whole command": seconds[ONE.name, most] / seconds[TWO.name, most],
        "speed-up of two plain loops": speed_up(seconds, PLAIN.name, plain_two, most),
    }


def show(text: str, seconds: Seconds, counts: Sequence[int], figures: dict[str, float]) -> None:
    """Prints wall seconds and figures of one filter."""
    names = list(dict.fromkeys(name for name, _ in seconds))
    print(f"\n{text}\n\n{'wall seconds':20}" + "".join(f"{count:>12,}" for count in (FEW, *counts)))
    for name in names:
        print(f"{name:20}" + "".join(f"{seconds[name, count]:12.2f}" for count in (FEW, *counts)))
    for name, value in figures.items():
        print(f"{value:6.2f}  {name}")


def main() -> int:
    """Prints the tables and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", default="1,2,4,8", help="numbers of events, the last one the largest")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--folder", help="where the files are made, 1.2 GB for a million events (default: the system's)"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    counts = [int(float(text) * 1_000_000) for text in arguments.millions.split(",")]
    result = {}
    for filter_name, text in FILTERS.items():
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            seconds = measure(filter_name, counts, arguments.rounds, Path(folder))
        result[filter_name] = figures_of(seconds, counts)
        show(text, seconds, counts, result[filter_name])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    judged = result["named"]
    linear = all(judged[f"exponent of dovebeam, {n}"] <= MOST_EXPONENT for n in ("1 worker", "2 workers"))
    return 0 if linear and judged["speed-up of dovebeam on 2 workers"] >= LEAST_SPEED_UP else 1


if __name__ == "__main__":
    sys.exit(main())
