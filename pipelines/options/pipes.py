"""Standard input and output on a command line: `-`, /dev/stdin and their like; light, for `--help` answers at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["STDIN", "STDOUT", "as_output", "check_pipes", "descriptor_of"]

STDIN: Final = "/dev/stdin"
"""What `-` stands for where something is read."""

STDOUT: Final = "-"
"""What stands for standard output where something is written."""

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")


def descriptor_of(path: str) -> int | None:
    """The descriptor of this process that a path stands for; None for any other path."""
    if path in {"-", STDIN}:
        return 0
    found = _DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else None


def as_output(path: str) -> str:
    """A path of an output; `STDOUT` in all its spellings."""
    return STDOUT if path in {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"} else path


def check_pipes(
    read: Sequence[tuple[str, str]], written: Sequence[tuple[str, str | None]], *, refused: Sequence[str] = ()
) -> str:
    """What is wrong with the use of standard input and output; empty if nothing is.

    Args:
        read: options and paths of what is read.
        written: options and paths of what is written.
        refused: options that cannot be standard output.
    """
    taken: dict[int, str] = {}
    for option, path in read:
        descriptor = descriptor_of(path)
        if descriptor is not None:
            if descriptor in taken:
                name = "standard input" if descriptor == 0 else path
                return f"{taken[descriptor]} and {option} both read {name}, which can be read once; name a file for one"
            taken[descriptor] = option
    out = [option for option, path in written if path == STDOUT]
    for option in out:
        if option in refused:
            return f"{option} cannot be standard output; name a file"
    if len(out) > 1:
        return f"{out[0]} and {out[1]} would both be written to standard output; name a file for one of them"
    return ""
