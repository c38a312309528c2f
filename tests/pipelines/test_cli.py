"""The command line itself: help, usage, how it is started, and the time to the first answer."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dovebeam.pipelines.export import command as export
from support.jobs.commands import (
    Ran,
    dovebeam,
    dovebeam_process,
)
from support.jobs.export_command import everything_to


def seconds_of(*arguments: str) -> float:
    """CPU seconds of Python with some arguments, the best of some runs."""
    best = 9.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


@pytest.mark.alone
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["export", "--help"]])
def test_help_answers_at_once(arguments: list[str]) -> None:
    """Help and version take no more CPU than three imports of asyncio, measured beside them."""
    assert seconds_of("-m", "dovebeam.pipelines.cli", *arguments) < 3 * seconds_of("-c", "import asyncio")


def test_help_loads_nothing_heavy() -> None:
    """Neither Beam nor rich is imported to show help or to refuse a command line."""
    code = (
        "import sys\nfrom dovebeam.pipelines.cli import main\n"
        "for argv in (['--help'], ['--version'], ['export', '--help'], ['export', 'x'], ['demo', '-h'], []):\n"
        "    main(argv)\n"
        "heavy = {'apache_beam', 'rich', 'numpy', 'msgspec'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["cli", "export.__main__"])
def test_python_does_not_search_for_garbage_at_the_end(module: str) -> None:
    """Of what a command has loaded, which takes about 0.4 s after an export; the exit code is that of the command."""
    code = (
        "import atexit, gc, runpy, sys\natexit.register(lambda: print(gc.get_freeze_count() > len(gc.get_objects())))\n"
        f"sys.argv[1:] = ['--frob']\nrunpy.run_module('dovebeam.pipelines.{module}', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "True\n")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with 0, help names the commands and what follows."""
    assert dovebeam("--version").out.startswith("dovebeam ")
    assert "export" in dovebeam("--help").out
    ran = dovebeam("export", "--help")
    assert ran.code == 0
    assert all(name in ran.out for name in ("--config", "--rejects", "--preview", "--direct_num_workers", "78"))


@pytest.mark.parametrize("arguments", [[], ["exprt"], ["--frob"], ["export"], ["export", "--input=x"]])
def test_usage(arguments: list[str]) -> None:
    """A command line that says too little or too much ends with 2 and a message."""
    ran = dovebeam(*arguments)
    assert ran.code == 2
    assert "dovebeam" in ran.err
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback(tmp_path: Path, events: Path) -> None:
    """With --debug there is both."""
    config = everything_to(tmp_path, "file", "file_path = /dev/full")
    ran = dovebeam_process("export", "--config", config, "--input", events, "--debug")
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert "dovebeam: " in ran.err


def test_a_closed_pipe(tmp_path: Path, events: Path) -> None:
    """Whoever reads the account may stop reading."""
    config = everything_to(tmp_path, "drop")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "export", "--config", config, "--input", events]
    done = subprocess.run(command, check=False, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_without_docstrings(tmp_path: Path, events: Path) -> None:
    """Beam cannot be imported then, which is said; without assertions alone everything works."""
    config = everything_to(tmp_path, "drop")
    command = [sys.executable, "-m", "dovebeam.pipelines.cli", "export", "--config", config, "--input", events]
    for level, code, words in (("1", 0, ""), ("2", 2, "unset PYTHONOPTIMIZE")):
        environment = {**os.environ, "PYTHONOPTIMIZE": level, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr


def test_module_for_runners(tmp_path: Path, events: Path) -> None:
    """`python -m dovebeam.pipelines.export` is the same job."""
    command = [sys.executable, "-m", "dovebeam.pipelines.export"]
    arguments = ["--config", str(everything_to(tmp_path, "drop")), "--input", str(events)]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert export.main(["--help"]) == 0


def test_a_bug_is_one_message(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what nobody thought of is said in a line, with the way to learn more."""

    def broken(*_: object, **__: object) -> Ran:
        raise KeyError("surprise")

    monkeypatch.setattr("dovebeam.pipelines.export.export_job.build_export", broken)
    ran = dovebeam("export", "--config", everything_to(tmp_path, "drop"), "--input", events)
    assert ran.code == 1
    assert ran.err == "dovebeam: KeyError: 'surprise' (--debug shows where it comes from)\n"
