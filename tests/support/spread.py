"""How tests are spread over the workers of pytest-xdist, and which of them `make test` leaves to `make test-all`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SLOW = {
    "tests/codecs/test_corpus_round_trip.py": "all recorded events through every codec",
    "tests/docs": "every command and every block of the documentation",
    "tests/faults": "targets, disks and processes that fail in the middle",
    "tests/fuzz": "random inputs to all parsers",
    "tests/packaging": "environments made anew",
    "tests/pipelines/archive/test_archive.py::test_the_corpus": "all recorded events",
    "tests/pipelines/collect/test_dovecot.py": "a Dovecot",
    "tests/pipelines/export/test_corpus_preview.py": "all recorded events in every format",
    "tests/pipelines/export/test_export.py::test_log_driver_of_worker_processes": "a job of several processes",
    "tests/pipelines/replay/test_replay.py::test_a_minute_equals_the_export_of_exactly_those_events": "all recorded events",
    "tests/pipelines/replay/test_replay.py::test_a_damaged_file_of_the_right_size[two-workers]": "a job of two processes",
    "tests/pipelines/replay/test_replay.py::test_twice_has_the_same_keys": "two replays, an event a request",
    "tests/pipelines/stream/test_queues.py": "targets that hang while others go on",
    "tests/pipelines/stream/test_shards.py": "streams into windows, one after the other",
    "tests/pipelines/terminal/test_standard_streams.py": "starts of every command with closed and full streams",
    "tests/pipelines/test_cli.py::test_python_without_docstrings": "Beam compiled anew",
    "tests/pipelines/test_damaged_input.py": "archives that are torn, by one process and by two",
    "tests/pipelines/test_interrupt.py": "jobs that are told to end, at every moment",
    "tests/pipelines/test_startup_signals.py": "starts of every command, told to end while it imports",
    "tests/pipelines/test_warm_commands.py": "each command by two ways, one of them slow",
    "tests/runners": "engines that others wrote",
    "tests/structure/test_passed.py": "runs of pytest",
    "tests/templates": "Dataflow templates in their locked environment",
    "tests/test_corpus_export.py": "all recorded events through every driver",
    "tests/test_read_from_files.py::test_corpus_in_parallel_processes": "a job of two processes",
    "tests/test_read_objects.py::test_objects_in_parallel_processes": "a job of two processes",
    "tests/test_remote_store.py::test_store_that_fails_in_the_commit": "a commit that fails at each of its steps",
    "tests/testing/test_keeping.py::test_a_driver_in_a_file_with_worker_processes": "a job of two processes",
    "tests/typing/test_api.py::test_types": "mypy over all of dovebeam, with the strictest settings",
    "tests/yaml/test_pipelines.py": "pipelines of Beam YAML, each a process",
}
"""What takes long, and what it is; a path of a folder or file, or a test in it."""

QUICK: set[str] = set()
"""Tests below a slow path that `make test` runs all the same."""

_ALONE = "mark.alone"  # how a file of tests says so


def is_slow(nodeid: str) -> bool:
    """Whether a test is left to `make test-all`."""
    return _below(nodeid, SLOW) and not _below(nodeid, QUICK)


def _below(nodeid: str, paths: dict[str, str] | set[str]) -> bool:
    return any(nodeid == path or nodeid.startswith((f"{path}/", f"{path}::", f"{path}[")) for path in paths)


def is_left_out(path: Path, expression: str) -> bool:
    """Whether no test in a file or folder can be wanted by an expression of `-m`, so that it need not be read."""
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
    if expression == "alone":
        return path.name.startswith("test_") and path.is_file() and _ALONE not in path.read_text("utf-8")
    return "not slow" in expression and name in SLOW and not any(quick.startswith(name) for quick in QUICK)


def runs_at_once(path: Path) -> bool:
    """Whether all tests of a file run together, as none of them is slow or needs the machine to itself."""
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
    parts = any(key.startswith(f"{name}::") for key in (*SLOW, *QUICK))
    return not parts and not is_slow(name) and _ALONE not in path.read_text("utf-8")


def slow_first(items: list[pytest.Item]) -> None:
    """Sorts tests so that no worker begins with a long one when the others are done; those on Flink are the longest."""
    items.sort(key=lambda item: (not is_slow(item.nodeid), work_unit(item.nodeid) != "flink"))


def work_unit(nodeid: str) -> str:
    """What a worker gets at once: a file, or one test of a slow file.

    A file stays whole if its tests share a fixture, which would else be made by every worker. One Flink runs at a time,
    since its processes take both cores while they start.
    """
    if "flink" in nodeid:
        return "flink"
    name = nodeid.partition("::")[0]
    return nodeid if _below(name, SLOW) and not _shares_fixtures(name) else name


@cache
def _shares_fixtures(name: str) -> bool:
    return re.search(r"scope=.(module|session|package)", (ROOT / name).read_text("utf-8")) is not None
