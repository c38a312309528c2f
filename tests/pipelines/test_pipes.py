"""Standard input and output, pipes and process substitution in place of files."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovebeam.pipelines.terminal.exit_codes import ExitCode
from support.jobs import warm_commands
from support.jobs.commands import dovebeam, exporter, metric, write_config
from support.programs import HANG_SECS, wait_until

EVENTS = b"".join(b'{"event":"e","fields":{"n":%d}}\n' % number for number in range(50))


class Shell:
    """Command lines in a folder with a configuration, an event file and a place for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}
        warm = warm_commands.shell_folder(self.environment)
        self.dovebeam = shlex.join([f"{warm}/dovebeam"] if warm else [sys.executable, "-m", "dovebeam.pipelines.cli"])
        write_config(
            folder, exporter("out", "file", "json", f"file_path = {folder}/out"), metric("m", "event=e", "out")
        )
        (folder / "events").write_bytes(EVENTS)

    def run(self, command: str) -> subprocess.CompletedProcess[bytes]:
        """The command by bash; `D` is dovebeam. Nothing temporary may be left."""
        command = f'D() {{ {self.dovebeam} "$@"; }}; set -o pipefail; {command}'
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            timeout=HANG_SECS,
        )
        assert list(self.temporary.iterdir()) == []
        return done

    def exported(self) -> bytes:
        """What arrived."""
        return (self.folder / "out").read_bytes()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """See there."""
    return Shell(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "cat events | D export --config dovecot.conf --input -",
        "gzip -c events | D export --config dovecot.conf --input /dev/stdin",
        "D export --config dovecot.conf --input - < events",
        "D export --config dovecot.conf --input <(cat events)",
        "mkfifo p; cat events > p & D export --config dovecot.conf --input p",
        "cat events | D export --config dovecot.conf --input - --direct_num_workers=2 "
        "--direct_running_mode=multi_processing",
        "D export --config - --input events < dovecot.conf",
        "cat dovecot.conf | D export --config - --input <(cat events)",
        "cat dovecot.conf | D replay --config - --input events",
    ],
)
def test_what_can_be_read_once_is_read(shell: Shell, command: str) -> None:
    """As a file of the same content is; compressed or not, by one process or two."""
    done = shell.run(command)
    assert done.returncode == ExitCode.DONE, done.stderr.decode()
    assert shell.exported() == EVENTS


def test_archive_and_check_read_standard_input(shell: Shell) -> None:
    """All commands that read files of events do."""
    (shell.folder / "archive").mkdir()
    done = shell.run("cat events | D archive --input - --output archive")
    assert done.returncode == ExitCode.DONE, done.stderr.decode()
    done = shell.run("cat events | D check --config dovecot.conf --input -")
    assert done.returncode == ExitCode.DONE, done.stderr.decode()
    assert b"50" in done.stdout


def test_rejects_of_standard_input_name_it(shell: Shell) -> None:
    """Not the temporary file, which is gone; damage is told as of any file."""
    (shell.folder / "cut.gz").write_bytes(gzip.compress(b"no event\n" * 3)[:-2])
    done = shell.run("cat cut.gz | D export --config dovecot.conf --input - --rejects rejects")
    assert done.returncode == ExitCode.FAILED
    rejects = [json.loads(line) for line in (shell.folder / "rejects").read_bytes().splitlines()]
    assert {reject["sourceUri"] for reject in rejects} == {"/dev/stdin"}
    assert b"/dev/stdin" in done.stderr
    assert bytes(shell.temporary) not in done.stderr


def test_preview_and_ledger_on_standard_output(shell: Shell) -> None:
    """Nothing else is there: tables and messages go to standard error."""
    done = shell.run("D export --config dovecot.conf --input events --preview -")
    assert done.stdout == EVENTS
    assert b"delivered" in done.stderr
    assert not (shell.folder / "out").exists()
    done = shell.run("cat events | D export --config dovecot.conf --input - --ledger - | tee ledger")
    assert json.loads(done.stdout)["delivered"] == 50
    assert b"delivered" in done.stderr
    done = shell.run("D export --config dovecot.conf --input events --preview - | head -1")
    assert done.stdout == EVENTS[: EVENTS.index(b"\n") + 1]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("export --config - --input -", "--config and --input both read standard input"),
        ("check --config - --input /dev/stdin", "--config and --input both read standard input"),
        ("export --config dovecot.conf --input - --input -", "--input and --input both read standard input"),
        ("export --config dovecot.conf --input events --preview - --ledger -", "both be written to standard output"),
        ("export --config dovecot.conf --input events --rejects -", "--rejects cannot be standard output"),
        ("archive --input events --output -", "--output cannot be standard output"),
        ("stream --config dovecot.conf --follow - --state s", "--follow -: a stream must be able to read again"),
        ("stream --config dovecot.conf --follow events --state s --ledger -", "--ledger cannot be standard output"),
        ("export --config dovecot.conf --input /dev/fd/987", "this descriptor is not open"),
    ],
)
def test_what_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str) -> None:
    """A usage error that says what to do."""
    monkeypatch.chdir(shell.folder)
    ran = dovebeam(*arguments.split())
    assert (ran.code, message in ran.err) == (ExitCode.USAGE, True), ran.err


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr", "/dev/fd/3", "/proc/self/fd/1"])
def test_a_target_that_belongs_to_the_process_is_refused(tmp_path: Path, path: str) -> None:
    """With what to write instead."""
    config = write_config(
        tmp_path, exporter("out", "file", "json", f"file_path = {path}"), metric("m", "event=e", "out")
    )
    ran = dovebeam("check", "--config", config)
    assert ran.code == ExitCode.CONFIG
    assert "--preview - to see what would be written" in ran.out + ran.err


def test_a_full_disk_is_told(shell: Shell) -> None:
    """Where there is no room for the copy, what to set; nothing is left of it."""
    done = shell.run("ulimit -f 8; yes | head -c 1000000 | D export --config dovecot.conf --input -")
    assert done.returncode == ExitCode.FAILED
    assert b"/dev/stdin: cannot be copied to " in done.stderr
    assert b"File too large; set TMPDIR to a directory with more room" in done.stderr


def test_a_terminal_is_told_what_is_waited_for(shell: Shell) -> None:
    """Nobody wonders why nothing happens; Ctrl-D ends the input."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "dovebeam.pipelines.cli"]
    command += ["export", "--config", str(shell.folder / "dovecot.conf"), "--input", "-"]
    try:
        with warm_commands.Popen(command, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            os.write(ours, EVENTS[: EVENTS.index(b"\n") + 1] + b"\x04")
            _, said = process.communicate(timeout=HANG_SECS)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == ExitCode.DONE, said.decode()
    assert b"end with Ctrl-D on a line of its own" in said
    assert shell.exported() == EVENTS[: EVENTS.index(b"\n") + 1]


def test_a_copy_of_a_killed_process_goes_at_the_next_start(shell: Shell) -> None:
    """After SIGKILL while it reads standard input."""
    command = [sys.executable, "-m", "dovebeam.pipelines.cli"]
    command += ["export", "--config", str(shell.folder / "dovecot.conf"), "--input", "-"]
    with warm_commands.Popen(command, stdin=subprocess.PIPE, env=shell.environment) as process:
        wait_until(lambda: any(shell.temporary.iterdir()), "standard input to be copied")
        process.send_signal(signal.SIGKILL)
    assert len(list(shell.temporary.iterdir())) == 1
    done = shell.run("cat events | D export --config dovecot.conf --input -")
    assert done.returncode == ExitCode.DONE
