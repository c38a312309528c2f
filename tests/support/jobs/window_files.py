"""A stream that writes shards, and what it has written."""

from __future__ import annotations

import hashlib
from pathlib import Path

SETTINGS = ("file_writing = shards", "file_rotate_interval = 1 h")


def timed_line(number: int, hour: int = 12) -> bytes:
    """An event that can be told from others, in an hour that is long over."""
    time = f"2026-11-20T{hour:02}:00:00.{number % 1_000_000:06}Z"
    return (
        f'{{"event":"e","hostname":"h","start_time":"{time}","end_time":"{time}","categories":[],'
        f'"fields":{{"id":{number}}}}}\n'
    ).encode()


def files_of(base: Path, hour: int | None = None) -> list[Path]:
    """The files of a window, or of all, in the order of their panes."""
    window = "*" if hour is None else f"20261120T{hour:02}0000Z"
    return sorted(base.glob(f"events-{window}-*-of-*.json"))


def lines_in(base: Path, hour: int | None = None) -> list[bytes]:
    """The lines of all of them."""
    return [line for path in files_of(base, hour) for line in path.read_bytes().splitlines(keepends=True)]


def digests(base: Path) -> dict[str, str]:
    """What the files hold, by their names."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(base)}


def spooled(base: Path) -> list[str]:
    """What is not in files yet, and notes about it."""
    names = (path.name for path in base.glob(".dovebeam/*/*"))
    return sorted(name for name in names if name not in {"lock", "owner"})
