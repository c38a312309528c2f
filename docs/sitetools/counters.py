"""The counters of a job, from the table that the code has of them."""

from __future__ import annotations

from dovebeam.transforms.counters import COUNTERS
from sitetools.tables import code, table

__all__ = ["counters"]


def counters() -> str:
    """What the counters in the namespace `dovebeam` count."""
    return table(("counter", "counts"), ((code(name), f"{text}.") for name, text in COUNTERS.items()))
