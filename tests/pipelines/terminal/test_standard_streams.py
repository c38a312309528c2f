"""Commands whose standard streams are closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.jobs.commands import exporter, metric, write_config, write_events
from support.programs import HANG_SECS

_EVENT = b'{"event":"x"}'


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line as somebody writes it for a shell; `dovebeam` is the one under test."""
    module = f"{shlex.quote(sys.executable)} -m dovebeam.pipelines.cli"
    line = command.replace("dovebeam", module, 1)
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, check=False, capture_output=True, text=True, timeout=HANG_SECS
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration that writes out.json, and an event."""
    write_config(tmp_path, exporter("o", "file", "json", "file_path = out.json"), metric("m", "event=x", "o"))
    write_events(tmp_path, [_EVENT])
    return tmp_path


_EXPORT = "dovebeam export --config dovecot.conf --input events.json"
_DRY = "dovebeam replay --config dovecot.conf --input events.json --dry_run"


@pytest.mark.parametrize(
    "command",
    [
        *(f"{_EXPORT} {closed}" for closed in (">&-", "<&- >&- 2>&-")),
        "dovebeam --version >&-",
        "dovebeam export --help >&-",
        "dovebeam check --config dovecot.conf >&-",
    ],
)
def test_closed_streams(folder: Path, command: str) -> None:
    """What would be printed goes nowhere, least of all into the files that the job writes."""
    ran = shell(command, folder)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    if command.startswith(_EXPORT):
        assert (folder / "out.json").read_bytes() == _EVENT + b"\n"


def test_closed_streams_do_not_hide_an_error(folder: Path) -> None:
    """The exit code is the one of the error, although nobody can be told."""
    assert shell("dovebeam export --config missing.conf --input events.json 2>&-", folder).returncode == 78


def test_reader_that_has_seen_enough(folder: Path) -> None:
    """A dry run whose reader ends is done all the same, without a word."""
    ran = shell(f"{{ {_DRY} --ledger l.json; echo $? >code; }} | head -c 1", folder)
    assert "rror" not in ran.stderr
    assert (folder / "code").read_text() == "0\n"


def test_full_standard_output(folder: Path) -> None:
    """An account that could not be shown is told."""
    ran = shell(f"{_EXPORT} > /dev/full", folder)
    assert ran.returncode == 1
    assert "write(standard output) failed: No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr


_LINES = {
    **{f"{name} --help": 0 for name in ("export", "stream", "archive", "replay", "collect", "check", "demo")},
    "--help": 0,
    "--version": 0,
    "": 2,
    "export --config missing.conf --input events.json": 78,
    "stream --config missing.conf --follow events.json --state s": 2,
    "archive --input missing": 2,
    "replay --config missing.conf --input events.json": 78,
    "collect --listen unix:/x --spool missing/spool": 1,
    "collect --listen unix:relative --spool s --debug": 2,
    "check --config dovecot.conf": 0,
    "check --config missing.conf": 78,
    "demo dovecot.conf": 1,
}

# Each line in a process of its own, which ends as a real one does, without starting Python again.
_EACH = """
import gc, os, sys
from dovebeam.pipelines import demo
from dovebeam.pipelines.archive import archive_job
from dovebeam.pipelines.check import check_job
from dovebeam.pipelines.cli import main
from dovebeam.pipelines.collect import service
from dovebeam.pipelines.replay import replay_job
from dovebeam.pipelines.stream import stream_job
def run(line):
    pid = os.fork()
    if not pid:
        sys.exit(main(line.split()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
gc.freeze()  # as `end_process` does
with open("lines") as file:
    lines = file.read().split("\\n")
codes = [run(line) for line in lines]
with open("codes", "w") as file:
    file.write(repr(codes))
"""


@pytest.mark.parametrize("streams", ["", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "| true"])
def test_every_command_with_any_streams(streams: str, folder: Path) -> None:
    """Nothing leaves a command but its exit code, whatever its streams are; output that is lost is the one failure."""
    (folder / "lines").write_text("\n".join(_LINES))
    (folder / "each.py").write_text(_EACH)
    ran = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} each.py {streams}"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECS,
    )
    codes = dict(zip(_LINES, ast.literal_eval((folder / "codes").read_text()), strict=True))
    full = streams == ">/dev/full"
    assert codes == {line: 1 if full and not code else code for line, code in _LINES.items()}, ran.stderr
    assert not [word for word in ("Traceback", "Exception ignored") if word in ran.stderr], ran.stderr
    lost = "write(standard output) failed: No space left on device"
    assert ran.stderr.count(lost) == (list(_LINES.values()).count(0) if full else 0)


@pytest.mark.parametrize(
    "command", ["export --config c --input i", "check --config c", "collect --listen unix:/x --spool s", "demo d"]
)
def test_a_working_directory_that_is_gone(command: str, tmp_path: Path) -> None:
    """It is named, as what it is, with what to do; help is shown all the same."""
    gone = tmp_path / "gone"
    gone.mkdir()
    ran = shell(f"rmdir ../gone; dovebeam {command}", gone)
    assert ran.returncode == 1
    assert ran.stderr == (
        "dovebeam: the working directory has been removed; change to one that exists (cd /) and run the command again\n"
    )
    gone.mkdir()
    ran = shell(f"rmdir ../gone; dovebeam {command.split(maxsplit=1)[0]} --help", gone)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_account_whose_reader_ends_keeps_the_exit_code(folder: Path) -> None:
    """Errors are errors, also if only their first line was wanted."""
    (folder / "bad.conf").write_text("frob = 1\n" * 5000)
    shell("{ dovebeam check --config bad.conf; echo $? >code; } | head -n 1", folder)
    assert (folder / "code").read_text() == "78\n"
