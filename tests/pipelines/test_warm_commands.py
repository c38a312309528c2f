"""Commands from a warm parent, which most tests start, do what a new process does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.jobs import warm_commands
from support.jobs.commands import exporter, metric, write_config
from support.jobs.stream_command import line
from support.pages.shell_session import shell_session
from support.programs import HANG_SECS, wait_until

DOVEBEAM = [sys.executable, "-m", "dovebeam.pipelines.cli"]
EXPORT = ["export", "--config", "dovecot.conf", "--input", "events.json"]
STREAM = ["stream", "--config", "dovecot.conf", "--follow", "spool", "--state", "state", "--rejects", "rejects"]
ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL]

Start = Callable[..., subprocess.Popen[str]]
WAYS: list[Start] = [subprocess.Popen, warm_commands.Popen]


@dataclass
class Home:
    """A folder with a configuration and events, in which a command is tried both ways."""

    folder: Path
    way: Start = subprocess.Popen
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "spool").mkdir(parents=True)
        write_config(self.folder, exporter("x", "file", "json", "file_path = out.json"), metric("m", "event=*", "x"))
        (self.folder / "broken.conf").write_text("event_exporter x {\n  driver = nosuch\n")
        (self.folder / "events.json").write_bytes(line(1) + line(2) + b"{\n")

    @contextmanager
    def started(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """The running command, which does not outlive the block."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = self.way([*DOVEBEAM, *arguments], cwd=self.folder, text=True, **{**pipes, **options})
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the command, without what differs from run to run."""
        with self.started(*arguments, **options) as process:
            out, err = process.communicate(timeout=HANG_SECS)
        return process.returncode, self.said(out), self.said(err)

    def wait_for_delivery(self, process: subprocess.Popen[str]) -> None:
        """Until something was delivered."""
        wait_until(lambda: (self.folder / "out.json").exists() or process.poll() is not None, "a delivery")
        assert process.poll() is None, process.communicate()

    def said(self, text: str | None) -> str:
        """A text without what differs from home to home, and from run to run."""
        return _without_run((text or "").replace(str(self.folder), "HOME"))


def _without_run(text: str | None) -> str:
    return re.sub(r"\b[0-9a-f]{12}\b|[0-9.,]+ (s|ms|events/s)\b|\d+ events/s", "-", text or "")


@pytest.fixture
def homes(tmp_path: Path) -> list[Home]:
    """One for each way."""
    return [Home(tmp_path / str(number), way) for number, way in enumerate(WAYS)]


@pytest.fixture
def warm(homes: list[Home]) -> Home:
    """That of the warm parent."""
    return homes[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        [],
        ["nosuch"],
        EXPORT,
        [*EXPORT, "--nosuch"],
        ["export", "--config", "broken.conf", "--input", "events.json"],
        ["export", "--config", "dovecot.conf", "--input", "none.json"],
        ["check", "--config", "dovecot.conf", "--input", "events.json"],
    ],
    ids=" ".join,
)
def test_same_end(homes: list[Home], arguments: list[str]) -> None:
    """A command ends with the same exit code, says the same, and leaves the same files."""
    cold, warm = [home.run(*arguments) for home in homes]
    assert warm == cold
    files = [
        {path.name: path.read_bytes() for path in home.folder.iterdir() if path.suffix == ".json"} for home in homes
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_same_end_by_a_signal(homes: list[Home], number: int) -> None:
    """A stream that is told to end, or killed, ends in the same way."""
    ends = []
    for home in homes:
        (home.folder / "spool" / "a.json").write_bytes(line(1))
        with home.started(*STREAM) as process:
            home.wait_for_delivery(process)
            process.send_signal(number)
            ends.append((home.said(process.communicate(timeout=HANG_SECS)[1]), process.returncode))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("arguments", [["--help"], EXPORT], ids=" ".join)
def test_same_end_without_a_reader(homes: list[Home], arguments: list[str]) -> None:
    """A pipe whose reader is gone, or a full disk, behind standard output."""
    ends = []
    for home in homes:
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") as full:
            ends.append((home.run(*arguments, stdout=writer), home.run(*arguments, stdout=full)))
        os.close(writer)
    assert ends[0] == ends[1]


def test_ignored_signals(homes: list[Home]) -> None:
    """A signal that the caller ignores is ignored by the command, as below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        for home in homes:
            (home.folder / "spool" / "a.json").write_bytes(line(1))
            with home.started(*STREAM) as process:
                home.wait_for_delivery(process)
                status = Path(f"/proc/{process.pid}/status").read_text()
                ignored = int(re.findall(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
                assert ignored >> (signal.SIGHUP - 1) & 1
                process.send_signal(signal.SIGHUP)
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=HANG_SECS)
                assert process.returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_input(homes: list[Home]) -> None:
    """What is written to standard input is read."""
    for home in homes:
        with home.started("export", "--config", "dovecot.conf", "--input", "-", stdin=subprocess.PIPE) as process:
            process.communicate(line(7).decode(), timeout=HANG_SECS)
        assert (home.folder / "out.json").read_bytes() == line(7)


def test_environment(homes: list[Home]) -> None:
    """Variables are those of the call, and no others."""
    for home in homes:
        (home.folder / "dovecot.conf").write_text(
            (home.folder / "dovecot.conf").read_text().replace("out.json", "$ENV:OUT")
        )
        environ = {name: text for name, text in os.environ.items() if name != "HOME"}
        assert home.run(*EXPORT, env={**environ, "OUT": "named.json"})[0] == 1, "one line is not an event"
        assert (home.folder / "named.json").exists()


def test_place_of_a_process(homes: list[Home]) -> None:
    """It is a child of its caller, with the group, session, mask for new files and open files of a new process."""
    processes = []
    reading = ["export", "--config", "dovecot.conf", "--input", "-"]
    with contextlib.ExitStack() as running:
        for home in homes:
            (home.folder / "tmp").mkdir()
            options = {"stdin": subprocess.PIPE, "env": {**os.environ, "TMPDIR": str(home.folder / "tmp")}}
            process = running.enter_context(home.started(*reading, umask=0o027, **options))
            other = running.enter_context(home.started(*reading, start_new_session=True, **options))
            wait_until(lambda: len(list((home.folder / "tmp").iterdir())) > 1, "both to read")  # noqa: B023
            assert _ids(process.pid) == (os.getpid(), os.getpgrp(), os.getsid(0))
            assert _ids(other.pid) == (os.getpid(), other.pid, other.pid)
            assert "\nUmask:\t0027\n" in Path(f"/proc/{process.pid}/status").read_text()
            processes.append(process.pid)
        # Files that are open for a moment only, while a process gets ready to read, come and go.
        wait_until(lambda: _kinds_of_files(processes[0]) == _kinds_of_files(processes[1]), "the same open files")


def _ids(pid: int) -> tuple[int, int, int]:
    """Parent, process group and session of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), int(fields[2]), int(fields[3])


def _kinds_of_files(pid: int) -> list[str]:
    """The open files of a process, as pipe, socket or file."""
    kinds = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink(entry)
            special = target.startswith(("pipe:", "socket:", "anon_inode:"))
            kinds.append(re.sub(r"\d+", "", target) if special else "file")
    return sorted(kinds)


def test_nothing_is_shared(homes: list[Home]) -> None:
    """A command leaves nothing to the next one: neither variables nor a directory for temporary files."""
    for home in homes:
        for name in ("one", "two"):
            (home.folder / name).mkdir()
            with home.started(*STREAM, env={**os.environ, "TMPDIR": str(home.folder / name)}) as process:
                wait_until(lambda: any((home.folder / name).iterdir()) or process.poll() is not None, "a file")  # noqa: B023
                assert process.poll() is None, process.communicate()


@pytest.mark.parametrize(
    "options",
    [
        {"env": {**os.environ, "PYTHONWARNINGS": "error"}},
        {"env": {**os.environ, "LC_ALL": "C"}},
        {"env": {**os.environ, "DOVEBEAM_COLD_STARTS": "1"}},
        {"preexec_fn": os.getpid},
    ],
    ids=["PYTHONWARNINGS", "LC_ALL", "cold", "exec"],
)
def test_what_is_started_as_ever(warm: Home, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is more than a fork is one."""
    monkeypatch.setitem(os.environ, "DOVEBEAM_COLD_STARTS", options.get("env", {}).get("DOVEBEAM_COLD_STARTS", ""))
    with warm.started(*STREAM, **options) as process:
        assert _was_executed(process.pid)


def test_what_is_not(warm: Home) -> None:
    """A start that is not what a test is about is a fork."""
    with warm.started(*STREAM) as process:
        assert not _was_executed(process.pid)


def _was_executed(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    # For a moment after the exec, which `Popen` waits for, the kernel shows no arguments.
    wait_until(lambda: command.read_bytes() != b"", "the arguments of the process")
    return b"dovebeam.pipelines.cli" in command.read_bytes()


def test_in_a_shell(warm: Home) -> None:
    """The `dovebeam` of a shell has the exit code, streams and signals of the real one."""
    environ = dict(os.environ)
    folder = warm_commands.shell_folder(environ)
    assert folder is not None
    (warm.folder / "spool" / "a.json").write_bytes(line(1))
    with shell_session(warm.folder, {**environ, "PATH": f"{folder}:/usr/bin:/bin"}) as shell:
        assert shell.run("dovebeam nosuch", 60)[0] == 2
        assert shell.run("dovebeam --version | tr d D", 60) == (0, "Dovebeam 0.1.0\n")
        code, out = shell.run("cat events.json | dovebeam export --config dovecot.conf --input - > /dev/null", 60)
        assert (code, "be decoded" in out) == (1, True)
        (warm.folder / "out.json").unlink()
        said = shell.start(f"dovebeam {' '.join(STREAM)}")
        wait_until((warm.folder / "out.json").exists, "a delivery")
        assert shell.stop(60) == [0], said.read_text()
        said = shell.start(f"dovebeam {' '.join(STREAM)}")
        wait_until(lambda: said.read_text().count("following") == 1, "the stream to begin")
        (pid,) = _commands_in(warm.folder)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the stream to end with its shell")


def _commands_in(folder: Path) -> list[int]:
    """Forked commands whose directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(process / "cwd") == str(folder)
            if here and b"parent.py" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_it_ends_with_its_caller() -> None:
    """No warm parent outlives the process that it was started by, however that ends."""
    code = (
        "import os, subprocess, sys\nfrom support.jobs import warm_commands\n"
        f"warm_commands.run({[*DOVEBEAM, '--version']!r}, stdout=subprocess.DEVNULL)\n"
        "print(warm_commands._the_parent()._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environ.pop("DOVEBEAM_COLD_STARTS", None)
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{int(done.stdout)}").exists(), "the warm parent to end")
