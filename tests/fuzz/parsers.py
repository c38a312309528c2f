"""Random and mutated inputs to every parser: nothing may escape but dovebeam's own exceptions, and fast equals exact.

    python tests/fuzz/parsers.py [--inputs 1000000] [--seconds N] [--seed N] [--only FAMILY]

Ends after that many inputs or seconds, whichever comes first; prints the seed, and for a finding the input. Exits with 1
on a finding. What is tried are the modules `target_FAMILY.py` beside this one: each has a function `targets(folder)`,
which is given an empty directory of its own and returns a list of `fuzzing.Target`.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from fuzzing import Target, mutated  # noqa: E402

SLOW_SECS = 10.0
"""CPU time of one input that is a finding, however busy the machine is."""


def collect(root: Path, only: str | None) -> list[Target]:
    """The targets of all families, or of one."""
    found: list[Target] = []
    for path in sorted(HERE.glob(f"target_{only or '*'}.py")):
        folder = root / path.stem
        folder.mkdir()
        found.extend(importlib.import_module(path.stem).targets(folder))
    return found


def main() -> int:
    """Runs the parsers in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--only", metavar="FAMILY", help="as in target_FAMILY.py")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        turns = [target for target in collect(Path(folder), arguments.only) for _ in range(target.weight)]
        rng.shuffle(turns)
        deadline = time.monotonic() + arguments.seconds
        done = 0
        while done < arguments.inputs and time.monotonic() < deadline:
            target = turns[done % len(turns)]
            data = mutated(rng, rng.choice(target.seeds), rng.choice(target.seeds))
            began = time.process_time()
            try:
                target.check(data)
                assert time.process_time() - began < SLOW_SECS, "too slow"
            except Exception:
                print(f"finding after {done} inputs: {target.check.__qualname__} of {data!r}")
                raise
            done += 1
    print(f"{done} inputs, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
