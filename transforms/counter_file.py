"""Named counters of a process in files that another process can read at any moment, also after a kill.

The numbers are 64-bit integers in a file that is mapped into memory; line N of the file of names beside it says what
number N counts. A name is written before its first number, so a reader finds no number without a name.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
from pathlib import Path
from typing import Final

__all__ = ["CounterFile", "read_counters"]

_MAX_COUNTERS: Final = 65_536
"""Names are those of metrics, exporters and reasons, so this is far away; further names are not counted here."""

_NUMBER_BYTES: Final = 8
_NUMBERS: Final = ".numbers"
_NAMES: Final = ".names"


class CounterFile:
    """Counters of this process; not for several threads at once.

    Args:
        base: path of both files without their endings. What they hold already is kept.

    Raises:
        OSError: the files cannot be made.
    """

    def __init__(self, base: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(f"{base}{_NUMBERS}", flags, 0o600)
        try:
            size = _MAX_COUNTERS * _NUMBER_BYTES
            os.ftruncate(fd, size)  # a sparse file: only pages with counters take space
            self._numbers: Final = memoryview(mmap.mmap(fd, size)).cast("q")
        finally:
            os.close(fd)
        self._names: Final = Path(f"{base}{_NAMES}")
        self._slots: Final = {name: slot for slot, name in enumerate(_read_names(self._names))}

    def add(self, name: str, amount: int) -> None:
        """Adds to a counter.

        Raises:
            OSError: a new name cannot be written.
        """
        slot = self._slot(name)
        if slot is not None:
            self._numbers[slot] += amount

    def replace(self, name: str, value: int) -> None:
        """Sets a counter to a value.

        Raises:
            OSError: a new name cannot be written.
        """
        slot = self._slot(name)
        if slot is not None:
            self._numbers[slot] = value

    def _slot(self, name: str) -> int | None:
        slot = self._slots.get(name)
        if slot is None and len(self._slots) < _MAX_COUNTERS:
            slot = len(self._slots)
            with self._names.open("ab") as names:
                names.write(json.dumps(name).encode() + b"\n")
            self._slots[name] = slot
        return slot


def read_counters(folder: Path) -> dict[str, int]:
    """The counters of all processes whose files are in a folder, added up by name; those at 0 are left out."""
    sums: dict[str, int] = {}
    for path in sorted(folder.glob(f"*{_NUMBERS}")):
        with contextlib.suppress(OSError):
            names = _read_names(path.with_suffix(_NAMES))
            with path.open("rb") as file:
                numbers = memoryview(file.read(len(names) * _NUMBER_BYTES)).cast("q")
            for name, number in zip(names, numbers, strict=False):
                if number:
                    sums[name] = sums.get(name, 0) + number
    return sums


def _read_names(path: Path) -> list[str]:
    """Names of counters by number; a last line that a kill has cut off is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [str(json.loads(line)) for line in lines if line.endswith(b"\n")]
