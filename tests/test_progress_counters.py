"""Named counters that another process can read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dovebeam.transforms.progress import CounterFile, read_counters


def test_counters_of_several_processes_are_added_up(tmp_path: Path) -> None:
    """Also those of a process that was killed, whatever its counters are called."""
    code = (
        "import os, sys; from dovebeam.transforms.progress import CounterFile\n"
        "file = CounterFile(sys.argv[1]); file.add('a\\n\\x1b é', 3); file.add('b', 1); file.replace('b', 7)\n"
        "os.kill(os.getpid(), 9)"
    )
    for name in ("1", "2"):
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False).returncode == -9
    assert read_counters(tmp_path) == {"a\n\x1b é": 6, "b": 14}


def test_a_torn_name_counts_nothing(tmp_path: Path) -> None:
    """A name that a kill has cut off is left out; the others keep their numbers."""
    file = CounterFile(str(tmp_path / "1"))
    file.add("a", 1)
    with (tmp_path / "1.names").open("ab") as names:
        names.write(b'"cut o')
    assert read_counters(tmp_path) == {"a": 1}


def test_no_counters(tmp_path: Path) -> None:
    """An empty folder, or one that is gone, has none."""
    assert read_counters(tmp_path) == {}
    assert read_counters(tmp_path / "missing") == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**40)), max_size=30), st.integers(0, 30))
def test_opened_again(tmp_path_factory, steps: list[tuple[str, int]], split: int) -> None:
    """What was counted stays when the same process opens its files again."""
    folder = tmp_path_factory.mktemp("counters")
    expected: dict[str, int] = {}
    for part in (steps[:split], steps[split:]):
        file = CounterFile(str(folder / "1"))
        for name, amount in part:
            file.add(name, amount)
            expected[name] = expected.get(name, 0) + amount
    assert read_counters(folder) == {name: amount for name, amount in expected.items() if amount}
