"""A terminal of a certain width: what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

__all__ = ["Screen", "terminal"]

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Screen:
    """What was written to a terminal, without colours; whole once the terminal is closed."""

    out: TextIO
    data: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return _STYLE.sub("", self.data.decode()).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@contextmanager
def terminal(columns: int) -> Iterator[Screen]:
    """A pseudo terminal; what the block writes to `out` is in the screen afterwards."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    screen = Screen(os.fdopen(writer, "w"))
    thread = threading.Thread(target=_drain, args=(reader, screen.data))
    thread.start()
    try:
        yield screen
    finally:
        screen.out.close()
        thread.join()
        os.close(reader)


def _drain(reader: int, data: bytearray) -> None:
    while True:
        try:
            data += os.read(reader, 65_536)
        except OSError:  # EIO: nobody has the other side open any more
            return
