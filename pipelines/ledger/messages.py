"""What the end of a job tells beside the tables of its ledger: what is wrong, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from dovebeam.pipelines.ledger.ledger import Ledger
from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms.local_files import is_url

__all__ = ["damage_text", "rejects_text", "unmatching_metrics_text"]

_SHOWN_REASONS: Final = 10
_SHOWN_FILES: Final = 100
_SHOWN_INPUTS: Final = 5  # a replay has one for each file of its archive
_SHOWN_METRICS: Final = 10


def damage_text(damaged: Sequence[str]) -> str:
    """What to tell about files that were not read whole, and what to do."""
    names = "".join(f"\n  {printable(name)}" for name in damaged[:_SHOWN_FILES])
    more = f"\n  and {len(damaged) - _SHOWN_FILES} more, which --ledger names" if len(damaged) > _SHOWN_FILES else ""
    return (
        f"{len(damaged)} of the input files are damaged; what cannot be read of them was rejected. Restore them, for "
        f"example from a backup, and run again:{names}{more}"
    )


def rejects_text(ledger: Ledger) -> str:
    """What to tell about rejects that are in no output, and what to do."""
    reasons = "".join(
        f"\n  {count:,} times: {reason}" for reason, count in list(ledger.reasons.items())[:_SHOWN_REASONS]
    )
    return (
        f"{ledger.rejected:,} of what was read or formatted could not be decoded or delivered and is in no output; "
        f"everything else is.{reasons}\nRepair the cause, or keep them with --rejects FILE, and run again."
    )


def unmatching_metrics_text(ledger: Ledger, config: Sequence[str], inputs: Sequence[str]) -> str:
    """Names of the metrics that matched no event, with the command that shows why; empty if there are none.

    Args:
        ledger: of a job that came to its end.
        config: its configuration files.
        inputs: its patterns of input files.
    """
    names = [metric.name for metric in ledger.metrics if not metric.matched]
    events = ledger.matched + ledger.unmatched
    if not names or not events:
        return ""
    more = f" and {len(names) - _SHOWN_METRICS:,} more" if len(names) > _SHOWN_METRICS else ""
    options = [*(f"--config={path}" for path in config), *(f"--input={pattern}" for pattern in inputs)]
    metrics = [f"--metric={name}" for name in names[:_SHOWN_METRICS]] if not more else []
    local = len(inputs) <= _SHOWN_INPUTS and not any(map(is_url, inputs))
    command = (
        shlex.join(["dovebeam", "check", *options, "--explain", *metrics]) if local else "dovebeam check --explain"
    )
    return (
        f"warning: {'this metric' if len(names) == 1 else 'these metrics'} matched none of {events:,} events: "
        f"{', '.join(names[:_SHOWN_METRICS])}{more}; to see why: {command}"
    )
