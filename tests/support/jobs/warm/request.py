"""What a warm parent is asked for: the request and how it travels, with the caller's standard streams."""

from __future__ import annotations

import marshal
import resource
import socket
from collections.abc import Sequence
from typing import TypedDict

__all__ = ["Request", "limits", "receive", "send"]

_SIZE_BYTES = 4
_MOST_FILES = 64
_LIMITS = sorted({each for name, each in vars(resource).items() if name.startswith("RLIMIT_")})


class Request(TypedDict):
    """A command to run.

    `module` is run as by `python -m`, with `arguments`, in the directory `cwd`, with `environ` as its whole
    environment. The open files that come with the request get the `numbers`. `ignored` are the numbers of the signals
    that the caller ignores, `limits` are those of `setrlimit` (number, soft, hard). `group` is the process group to
    join, or -1; `session` starts a session of its own.
    """

    module: str
    arguments: list[str]
    cwd: str
    environ: dict[str, str]
    numbers: list[int]
    ignored: list[int]
    limits: list[tuple[int, int, int]]
    umask: int
    group: int
    session: bool


def limits() -> list[tuple[int, int, int]]:
    """The limits of this process."""
    return [(number, *resource.getrlimit(number)) for number in _LIMITS]


def send(to: socket.socket, request: Request, files: Sequence[int]) -> None:
    """Sends a request with open files: those that it numbers, and perhaps another one."""
    body = marshal.dumps(dict(request))
    socket.send_fds(to, [len(body).to_bytes(_SIZE_BYTES, "big")], files)
    to.sendall(body)


def receive(source: socket.socket) -> tuple[Request, list[int]] | None:
    """The next request and its open files; None if the other side is gone."""
    head, files, _, _ = socket.recv_fds(source, _SIZE_BYTES, _MOST_FILES)
    if not head:
        return None
    size, body = int.from_bytes(head, "big"), b""
    while len(body) < size:
        piece = source.recv(size - len(body))
        if not piece:
            return None
        body += piece
    request: Request = marshal.loads(body)
    return request, files
