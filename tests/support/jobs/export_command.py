"""What the tests of `dovebeam export` as a command have in common: some real events, and the smallest configuration."""

from __future__ import annotations

from pathlib import Path

from support.jobs.commands import exporter, metric, write_config
from support.oracle.corpus import corpus_lines

LINES = corpus_lines("events.json.gz")[:300]
EVENTS = len(LINES)
BAD = b'{"event": 5}'


def everything_to(folder: Path, driver: str, *settings: str, format_: str = "json") -> Path:
    """A configuration that exports every event to one exporter, `x`."""
    return write_config(folder, exporter("x", driver, format_, *settings), metric("m", "event=*", "x"))
