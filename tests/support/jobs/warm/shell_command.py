"""The command `dovebeam` of shells in tests: has a warm parent run it, with this process's streams, and ends as it does.

python -S -E shell_command.py SOCKET ARGUMENT...
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from request import Request, limits, send  # of this folder

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def _open_files(besides: int) -> list[int]:
    """The numbers of all open files but one."""
    found = []
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            os.fstat(number)
        except OSError:  # that of the directory
            continue
        if number != besides:
            found.append(number)
    return found


def main() -> None:
    """Starts the command, passes signals on, and ends as it did."""
    path, arguments = sys.argv[1], sys.argv[2:]
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    ignored = [int(each) for each in _PASSED_ON if signal.getsignal(each) == signal.SIG_IGN]
    request: Request = {
        "module": "dovebeam.pipelines.cli",
        "arguments": arguments,
        "cwd": os.getcwd(),
        "environ": dict(os.environ),
        "numbers": (numbers := _open_files(connection.fileno())),
        "ignored": ignored,
        "limits": limits(),
        "umask": (mask := os.umask(0)),
        "group": -1,
        "session": False,
    }
    os.umask(mask)
    # A signal that comes now is the command's, once there is one.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    for number in set(_PASSED_ON) - set(ignored):
        signal.signal(number, lambda number, _: connection.send(bytes([number])))
    send(connection, request, numbers)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    # Whoever reads what the command writes waits until it has ended, not until this process has.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(nowhere, number)
    status = int.from_bytes(connection.recv(4), "big")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
