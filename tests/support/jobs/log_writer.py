"""A log as a busy program writes it and logrotate treats it: paced appends, lines in pieces, rotation in both ways."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from support.programs import HANG_SECS

_TICK_SECS = 0.02


class LogWriter(threading.Thread):
    """Appends events at a steady rate, and rotates now and then: by renaming and by copying and emptying, in turns.

    Every tenth batch ends in the middle of a line, whose rest comes a moment later. A rotation renames the older
    generations, as logrotate does. After a renaming the program writes one more batch into the old file, before it
    notices. Copying and emptying happens between two writes, because what is written between the two is lost whoever
    reads the log.

    Args:
        log: the file.
        events: the lines, without their ends, in their order.
        per_second: how many a second.
        rotate_every: a rotation after so many events; 0 for none.

    Attributes:
        written_at: when each event was complete in the file, by the monotonic clock, in their order.
        rotations: how many there were.
    """

    def __init__(self, log: Path, events: Iterable[bytes], per_second: int, rotate_every: int) -> None:
        super().__init__(name="log-writer", daemon=True)
        self._log = log
        self._events = list(events)
        self._batch = max(1, int(per_second * _TICK_SECS))
        self._per_second = per_second
        self._rotate_every = rotate_every
        self._stopping = threading.Event()
        self._renamed = False
        self.written_at: list[float] = []
        self.rotations = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Writes all events, at the rate that was asked for."""
        try:
            self._write_all()
        except Exception as error:
            self.error = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join(HANG_SECS)

    def wait(self, seconds: float) -> None:
        """Until everything is written."""
        self.join(seconds)
        assert self.error is None, self.error
        assert len(self.written_at) == len(self._events), "the writer was too slow"

    def _write_all(self) -> None:
        begun, file = time.monotonic(), self._open()
        since_rotation = 0
        for first in range(0, len(self._events), self._batch):
            batch = self._events[first : first + self._batch]
            data = b"".join(line + b"\n" for line in batch)
            in_pieces = first // self._batch % 10 == 9
            for piece in (data[:-40], data[-40:]) if in_pieces else (data,):
                os.write(file, piece)
                if in_pieces:
                    time.sleep(_TICK_SECS / 4)
            self.written_at += [time.monotonic()] * len(batch)
            since_rotation += len(batch)
            if self._renamed:
                os.close(file)
                file, self._renamed = self._open(), False
            if self._rotate_every and since_rotation >= self._rotate_every:
                since_rotation = 0
                self._rotate(file)
            if self._stopping.wait(max(0.0, begun + (first + len(batch)) / self._per_second - time.monotonic())):
                break
        os.close(file)

    def _open(self) -> int:
        return os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def _rotate(self, file: int) -> None:
        """Makes room for a new generation, then makes the log one, in one way or the other."""
        generations = [self._log.with_name(f"{self._log.name}.{number}") for number in range(self.rotations + 2)]
        for number in range(self.rotations, 0, -1):
            generations[number].rename(generations[number + 1])
        self.rotations += 1
        self._renamed = self.rotations % 2 == 1
        if self._renamed:
            self._log.rename(generations[1])
        else:
            shutil.copyfile(self._log, generations[1])
            os.ftruncate(file, 0)
