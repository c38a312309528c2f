"""A process that has imported Beam and all of dovebeam, and forks into commands: a start takes 10 ms instead of 1.4 s.

    parent.py CONTROL-FD LISTENER-FD

It is started by `support.jobs.warm_commands`, has no thread of Python and no connection, and ends when the other side
of the control socket is closed. Two kinds of requests arrive, in the form of `request.py`:

- On the control socket, from the process of the tests. The command becomes a child of that process, since whoever
  starts a process wants to wait for it: it is forked twice, and the kernel gives it to the caller, a subreaper at that
  moment. The answer is its process id; it begins when the caller closes its end of the fourth file.
- On connections to the listening socket, from the `dovebeam` of shells (`shell_command.py`). The command is a child of
  this process. Each byte on the connection is a signal to be passed on, its end the end of the caller, which the
  command does not outlive. The answer is its wait status.

A forked command is made what a new Python would be: standard streams, signals, environment, directory, `sys.argv` and
`sys.path`, random numbers; then Python's own implementation of `-m` runs the module. At the end the process does what
Python does, but for taking all modules apart, which would copy all of the shared memory.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import os
import pkgutil
import posix
import random
import resource
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass, field

from request import Request, receive  # of this folder

_ENTRY = "dovebeam.pipelines.cli"
"""Imported by no other module, and so by none before its turn as `__main__`."""
_IGNORED_AT_START = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores of itself."""
_STREAMS = ("stdin", "stdout", "stderr")
_NOT_CATCHABLE = (signal.SIGKILL, signal.SIGSTOP)


def import_everything() -> None:
    """Imports all modules of dovebeam but entry points, and with them Beam and all that commands use."""
    from dovebeam.pipelines.terminal import logs

    # As commands do before Beam is imported, since what it logs then would make Python set up a log of its own.
    logs.configure()
    for name in ("dovebeam.transforms", "dovebeam.pipelines"):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.name != _ENTRY and not found.name.endswith("__main__"):
                # Some need an extra that is not installed.
                with contextlib.suppress(ImportError):
                    importlib.import_module(found.name)


@dataclass
class _Start:
    """A command in its own process, before it begins."""

    request: Request
    files: list[int]

    def run(self) -> int:
        """Makes this process what a new one would be, and runs the command; returns its exit code."""
        try:
            self._become()
            runpy._run_module_as_main(self.request["module"])  # type: ignore[attr-defined]
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            sys.stderr.write(f"{end.code}\n")
            return 1
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            if isinstance(error, KeyboardInterrupt):
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGINT)
            return 1
        return 0

    def _become(self) -> None:
        request = self.request
        _take_files(self.files, request["numbers"])
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        time.tzset()
        os.umask(request["umask"])
        for number, soft, hard in request["limits"]:
            resource.setrlimit(number, (soft, hard))
        _new_signals(set(request["ignored"]))
        _new_streams()
        random.seed()
        sys.modules["numpy.random"].seed()
        tempfile.tempdir = None
        sys.argv = ["-m", *request["arguments"]]
        sys.orig_argv = [sys.executable, "-m", request["module"], *request["arguments"]]
        sys.path[0] = request["cwd"]
        sys.modules["__main__"] = types.ModuleType("__main__")


def _take_files(files: Sequence[int], numbers: Sequence[int]) -> None:
    """Gives open files their numbers, and waits for the end of one that has none."""
    above = max(numbers) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, above) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(moved, numbers, strict=False):
        os.dup2(file, number)
    for file in moved[len(numbers) :]:
        os.read(file, 1)
    for file in moved:
        os.close(file)


def _new_signals(ignored: set[int]) -> None:
    for number in signal.valid_signals() - set(_NOT_CATCHABLE):
        ignore = number in ignored or number in _IGNORED_AT_START
        with contextlib.suppress(OSError, ValueError):  # real-time signals of the C library
            signal.signal(number, signal.SIG_IGN if ignore else signal.SIG_DFL)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _new_streams() -> None:
    """Opens the standard streams anew, as Python does at its start: they may be files, pipes or terminals now."""
    raw = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(_STREAMS):
        before = getattr(sys, f"__{name}__")
        mode = "r" if number == 0 else "w"
        buffered = number == 0 or not raw
        file = open(number, f"{mode}b", buffering=-1 if buffered else 0, closefd=False)  # noqa: SIM115  as long as the process
        stream = io.TextIOWrapper(
            file,
            encoding=before.encoding,
            errors=before.errors,
            newline="\n",
            line_buffering=buffered and (number == 2 or file.isatty()),
            write_through=not buffered,
        )
        _set(stream, "mode", mode)
        _set(getattr(file, "raw", file), "name", f"<{name}>")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _set(of: object, name: str, value: str) -> None:
    """Sets what the types of the standard library call read-only."""
    setattr(of, name, value)


def _end(code: int) -> None:
    """Ends this process as Python does: waits for threads, calls `atexit` functions and flushes, with 120 if it can't."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            code = 120
    posix._exit(code & 0xFF)  # that of `os` is another one where coverage is measured, whose data is saved by now


@dataclass
class _Shell:
    """A caller on a connection, and the command that it has started."""

    connection: socket.socket
    pid: int = 0
    pidfd: int = -1


@dataclass
class _Parent:
    control: socket.socket
    listener: socket.socket
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def serve(self) -> _Start | None:
        """Answers requests; returns in forked processes with what they are to do, and in this one at the end."""
        self.selector.register(self.control, selectors.EVENT_READ)
        self.selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.control:
                    asked = receive(self.control)
                    if asked is None:
                        return None
                    start = self._fork_for_caller(*asked)
                elif key.fileobj is self.listener:
                    start = self._fork_for_shell()
                else:
                    self._watch(key.data, key.fileobj)
                    continue
                if start is not None:
                    return start

    def _fork_for_caller(self, request: Request, files: list[int]) -> _Start | None:
        told, tell = os.pipe()
        between = os.fork()
        if not between:
            if os.fork():
                os.kill(os.getpid(), signal.SIGKILL)  # nothing that a module does at the end of a process
            if request["session"]:
                os.setsid()
            elif request["group"] >= 0:
                os.setpgid(0, request["group"])
            # Only now, since the caller may send a signal to the whole group at once.
            os.write(tell, os.getpid().to_bytes(4, "big"))
            os.close(told)
            os.close(tell)
            return self._leave(_Start(request, files))
        os.waitpid(between, 0)
        for file in files:
            os.close(file)
        self.control.sendall(os.read(told, 4))
        os.close(told)
        os.close(tell)
        return None

    def _fork_for_shell(self) -> _Start | None:
        connection, _ = self.listener.accept()
        asked = receive(connection)
        if asked is None:
            connection.close()
            return None
        request, files = asked
        pid = os.fork()
        if not pid:
            connection.close()
            return self._leave(_Start(request, files))
        for file in files:
            os.close(file)
        shell = _Shell(connection, pid, os.pidfd_open(pid))
        self.selector.register(connection, selectors.EVENT_READ, shell)
        self.selector.register(shell.pidfd, selectors.EVENT_READ, shell)
        return None

    def _watch(self, shell: _Shell, ready: object) -> None:
        """Passes signals on to a command, or its end to whoever has started it."""
        if shell.pidfd < 0:  # both were ready, and the other one came first
            return
        if ready == shell.pidfd:
            _, status = os.waitpid(shell.pid, 0)
            with contextlib.suppress(OSError):
                shell.connection.sendall(status.to_bytes(4, "big"))
            self._forget(shell)
            return
        for number in shell.connection.recv(64) or [signal.SIGKILL]:
            os.kill(shell.pid, number)
            if number == signal.SIGKILL:
                os.waitpid(shell.pid, 0)
                self._forget(shell)
                return

    def _forget(self, shell: _Shell) -> None:
        for each in (shell.connection, shell.pidfd):
            self.selector.unregister(each)
        shell.connection.close()
        os.close(shell.pidfd)
        shell.pidfd = -1

    def _leave(self, start: _Start) -> _Start:
        """Closes in a forked process what belongs to this one."""
        for key in list(self.selector.get_map().values()):
            if isinstance(key.data, _Shell) and key.data.pidfd >= 0:
                self._close_files(key.data)
        self.selector.close()
        self.control.close()
        self.listener.close()
        return start

    @staticmethod
    def _close_files(shell: _Shell) -> None:
        shell.connection.close()
        os.close(shell.pidfd)
        shell.pidfd = -1


def main() -> None:
    """Serves until the tests end; in forked processes, runs a command."""
    control, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    # Signals to the whole group are for others, and those to a command wait until it has new handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    import_everything()
    gc.collect()
    gc.freeze()  # what is here is shared with all commands, as long as nothing writes to it
    control.sendall(b"r")
    start = _Parent(control, listener).serve()
    if start is not None:
        _end(start.run())


if __name__ == "__main__":
    main()
