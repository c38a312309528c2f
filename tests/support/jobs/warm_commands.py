"""Starts of `dovebeam` without the start of Python and Beam: a `Popen` and a `run` like those of `subprocess`.

A command whose start is not what a test is about is forked from a process that has imported everything
(`warm/parent.py`), one for each process of pytest, started when it is first needed. It is a child of pytest with a
process id, signals, streams and an exit code of its own, so that `Popen` is that of `subprocess` with another way to
begin. What such a process cannot be made to is started as ever:

- a command line other than `python -m dovebeam.pipelines.cli`, or arguments of `Popen` that are of the moment of exec;
- an environment with another value of a variable that Python or the C library reads at its start;
- a standard stream that is closed, or a directory that is gone;
- everything, if DOVEBEAM_COLD_STARTS=1 is set.

What a test cannot see in `/proc` of a forked command is its own command line and first environment: they are those of
the warm parent, as is the memory that both share.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import inspect
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, AnyStr

from support.jobs.warm.request import Request, limits, send

__all__ = ["Popen", "run", "shell_folder"]

_MODULE = "dovebeam.pipelines.cli"
_FOLDER = Path(__file__).with_name("warm")
_AT_START = re.compile(r"(PYTHON|LC_|LANG|LD_|MALLOC_|GLIBC_|GRPC_|OPENBLAS_|OMP_|OPENSSL_)")
"""Variables that are read when a process starts, or when a library is imported."""
_AT_ANY_TIME = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
"""Those of them without an effect here, and one that the parent heeds."""
_OF_EXEC = {"preexec_fn": None, "pass_fds": (), "shell": False, "close_fds": True, "executable": None}
_OF_EXEC |= {"gid": None, "gids": None, "uid": None, "restore_signals": True}
"""Arguments of `Popen` that a forked command can't have, but with these values."""
_SUBREAPER = 36
_START_SECS = 120


class Popen(subprocess.Popen[AnyStr]):
    """A process; see the module for when it is forked from a warm parent."""

    _execute_child: Any

    def _execute_child(self, *arguments: Any) -> None:  # type: ignore[no-redef]
        before = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(before).bind(*arguments).arguments
        request = _request(given)
        files = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        files = [number if file < 0 else file for number, file in enumerate(files)]
        if request is None or not all(map(_is_open, files)):
            before(*arguments)
            return
        try:
            self.pid = _the_parent().start(request, files)
            self._child_created = True
        finally:
            ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(given[end] for end in ends))  # type: ignore[attr-defined]


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    input: Any = None,  # noqa: A002  as subprocess names it
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Runs a command to its end, as `subprocess.run`."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    process: subprocess.Popen[Any]
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def shell_folder(environ: Mapping[str, str]) -> Path | None:
    """A folder with a `dovebeam` for the PATH of a shell with this environment; None if it needs the real one."""
    return _the_parent().folder if _may_be_warm(environ) else None


def _request(given: Mapping[str, Any]) -> Request | None:
    """What to ask of the parent; None if it can't do that."""
    args, environ = given["args"], given["env"]
    environ = os.environ if environ is None else environ
    if isinstance(args, str | bytes | os.PathLike):
        return None
    words = [os.fsdecode(word) for word in args]
    if words[:3] != [sys.executable, "-m", _MODULE] or not _may_be_warm(environ):
        return None
    executable = given["executable"]
    of_exec = {**given, "executable": None if executable in (None, words[0]) else executable}
    if any(
        of_exec.get(name, value) not in (value, list(value) if value == () else value)
        for name, value in _OF_EXEC.items()
    ):
        return None
    try:
        cwd = os.path.abspath(os.fsdecode(given["cwd"] or "."))
    except FileNotFoundError:
        return None
    if not os.path.isdir(cwd):
        return None
    return {
        "module": words[2],
        "arguments": words[3:],
        "cwd": cwd,
        "environ": {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()},
        "numbers": [0, 1, 2],
        "limits": limits(),
        "ignored": [int(each) for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN],
        "umask": given["umask"] if given["umask"] >= 0 else _umask(),
        "group": given.get("process_group", -1),
        "session": bool(given["start_new_session"]),
    }


def _may_be_warm(environ: Mapping[str, str]) -> bool:
    cold = os.environ.get("DOVEBEAM_COLD_STARTS") == "1"
    return not cold and _read_at_start(environ) == _the_parent().read_at_start


def _read_at_start(environ: Mapping[Any, Any]) -> dict[str, str]:
    decoded = {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}
    return {name: value for name, value in decoded.items() if _AT_START.match(name) and name not in _AT_ANY_TIME}


def _is_open(file: int) -> bool:
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


def _umask() -> int:
    found = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1], 8)


class _Parent:
    """The warm parent of this process.

    Attributes:
        folder: with a `dovebeam` for shells.
        read_at_start: variables that were read when it started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="warm-")
        folder = Path(self._temporary.name)
        self.folder = folder / "bin"
        self.read_at_start = _read_at_start(os.environ)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._control, theirs = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        with theirs, listener, (folder / "log").open("wb") as log:
            numbers = theirs.fileno(), listener.fileno()
            command = [sys.executable, str(_FOLDER / "parent.py"), *map(str, numbers)]
            self._process = subprocess.Popen(
                command, pass_fds=numbers, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        atexit.register(self.close)
        self._control.settimeout(_START_SECS)
        assert self._control.recv(1) == b"r", (folder / "log").read_text(errors="replace")
        self._write_command(folder / "socket")

    def start(self, request: Request, files: Sequence[int]) -> int:
        """Has a command forked, which becomes a child of this process; returns its process id."""
        held, go = os.pipe()
        with self._lock:
            self._adopt(True)
            try:
                send(self._control, request, [*files, held])
                answer = self._control.recv(4)
            finally:
                self._adopt(False)
                os.close(held)
                os.close(go)
        assert answer, "the warm parent has ended"
        return int.from_bytes(answer, "big")

    def close(self) -> None:
        """Ends it; commands go on."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        self._temporary.cleanup()

    def _adopt(self, adopt: bool) -> None:
        """Makes this process the new parent of orphans below it, or no longer."""
        assert self._libc.prctl(_SUBREAPER, int(adopt), 0, 0, 0) == 0, os.strerror(ctypes.get_errno())

    def _write_command(self, path: Path) -> None:
        self.folder.mkdir()
        words = [sys.executable, "-S", "-E", str(_FOLDER / "shell_command.py"), str(path)]
        command = self.folder / "dovebeam"
        command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        command.chmod(0o755)


@functools.cache
def _the_parent() -> _Parent:
    return _Parent()
