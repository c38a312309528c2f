"""How many vectors agree: one line per file, and the first that don't."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

__all__ = ["Report", "left_out"]

_MAX_SHOWN = 20
_MAX_CHARS = 400


class Report:
    """Counts the cases of one file of vectors and keeps the first disagreements.

    Args:
        path: the file, for its name.
        out: where `finish` prints.
    """

    def __init__(self, path: Path, out: TextIO | None = None) -> None:
        self._name = path.name
        self._out = out
        self._shown: list[str] = []
        self.total = 0
        self.disagreeing = 0

    def check(self, case: str, *, expected: object, got: object) -> None:
        """Records one case, `case` being enough of it to find it again."""
        self.total += 1
        if got == expected and type(got) is type(expected):
            return
        self.disagreeing += 1
        if len(self._shown) < _MAX_SHOWN:
            lines = (case, f"  expected {expected!r}", f"  got      {got!r}")
            self._shown.append("\n".join(line[:_MAX_CHARS] for line in lines))

    def finish(self) -> None:
        """Prints `FILE: N of M agree` and the first that don't; fails the test if there are any, or no case at all."""
        out = self._out or sys.stdout
        summary = f"{self._name}: {self.total - self.disagreeing} of {self.total} agree"
        print(f"\n{summary}", *self._shown, sep="\n", file=out)
        assert self.total > 0, f"{self._name} has no cases"
        assert not self.disagreeing, summary


def left_out(name: str, folder: Path) -> None:
    """Says that a set of vectors has no file of this kind; that is no failure."""
    print(f"\n{name}: not in {folder}, left out")
