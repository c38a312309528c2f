"""Cases of real Dovecot people: a configuration, a filter, an address or a session, and what a real Dovecot answered.

Each is `NAME.conf` or `NAME.json` (or both) in tests/cases, with `NAME.expected` beside it. DOVEBEAM_CASES names another
folder in the same form.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["CASES", "case_file", "case_names", "expected"]

CASES = Path(os.environ.get("DOVEBEAM_CASES") or Path(__file__).parents[2] / "cases")


@cache
def case_names(prefix: str = "", *, suffix: str = ".expected") -> tuple[str, ...]:
    """Names of the cases that begin with `prefix` and have a file with this suffix, sorted."""
    return tuple(sorted(path.name.removesuffix(suffix) for path in CASES.glob(f"{prefix}*{suffix}")))


def case_file(name: str, suffix: str) -> Path:
    """The path of `NAME.conf` or `NAME.json`."""
    return CASES / f"{name}{suffix}"


def expected(name: str) -> dict[str, Any]:
    """What Dovecot answered."""
    answer: dict[str, Any] = json.loads(case_file(name, ".expected").read_text())
    return answer
