"""Commands whose standard streams are closed, full, or a pipe that nobody reads."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import exporter, metric, write_config, write_events

_EVENT = b'{"event":"x"}'


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line as somebody writes it for a shell; `dovebeam` is the one under test."""
    module = f"{shlex.quote(sys.executable)} -m dovebeam.pipelines.cli"
    line = command.replace("dovebeam", module, 1)
    return subprocess.run(["sh", "-c", line], cwd=folder, check=False, capture_output=True, text=True, timeout=60)


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
