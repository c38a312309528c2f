"""The end of every job: its counters become a ledger, the ledger an exit code; a failure becomes a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from dovebeam.pipelines.ledger.ledger import Ledger
from dovebeam.pipelines.ledger.text import show_ledger
from dovebeam.pipelines.outputs.files import replace_file
from dovebeam.pipelines.running.failures import explain_failure
from dovebeam.pipelines.running.local import InterruptedJobError
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms import counting
from dovebeam.transforms.config import Config

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

__all__ = ["ClosingOptions", "close_job", "counters_of", "damage_text", "report_failure"]

_SHOWN_REASONS = 10
_SHOWN_FILES = 100


class ClosingOptions(Protocol):
    """What the end of a job must know of its options."""

    @property
    def ledger(self) -> str | None:
        """File for the ledger as JSON, None for none."""
        ...  # pragma: no cover

    @property
    def rejects(self) -> str | None:
        """Where rejects went; None if they are in no output."""
        ...  # pragma: no cover


def counters_of(result: PipelineResult) -> Iterator[tuple[str, int]]:
    """Names and values of dovebeam's counters, one for each step that has it."""
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == counting.NAMESPACE:
            yield counter.key.metric.name, counter.result


def close_job(ledger: Ledger, options: ClosingOptions) -> int:
    """Shows and writes the ledger, and says by the exit code whether it is that of a job that may count as done."""
    if options.ledger is not None:
        replace_file(options.ledger, json.dumps(ledger.as_dict(), indent=2, ensure_ascii=False).encode() + b"\n")
    show_ledger(ledger)
    imbalances = ledger.imbalances()
    for imbalance in imbalances:
        say(f"lost count: {imbalance}; please report this, and do not rely on this run")
    if ledger.damaged:
        say(damage_text(ledger.damaged))
    if ledger.rejected and options.rejects is None:
        say(_account_of_rejects(ledger))
        return ExitCode.FAILED
    return ExitCode.FAILED if imbalances or ledger.damaged else ExitCode.DONE


def damage_text(damaged: Sequence[str]) -> str:
    """What to tell about files that were not read whole, and what to do."""
    names = "".join(f"\n  {printable(name)}" for name in damaged[:_SHOWN_FILES])
    more = f"\n  and {len(damaged) - _SHOWN_FILES} more, which --ledger names" if len(damaged) > _SHOWN_FILES else ""
    return (
        f"{len(damaged)} of the input files are damaged; what cannot be read of them was rejected. Restore them, for "
        f"example from a backup, and run again:{names}{more}"
    )


def report_failure(error: Exception, config: Config, *, debug: bool, is_archive: bool = False) -> int:
    """Says why a job ended, and returns the exit code for that.

    Args:
        error: what the launch raised.
        config: of the job; an exporter that failed is named with its place.
        debug: whether to show the traceback.
        is_archive: whether it wrote an archive, whose files are there when all of them are complete.
    """
    if isinstance(error, InterruptedJobError):
        done, how = error.totals, "in the middle of a batch" if error.torn else "between two batches"
        say(
            f"stopped {how}: {done.events:,} events were read, {done.delivered:,} payloads delivered and "
            f"{done.rejected:,} rejected. {_what_there_is(config, is_archive=is_archive)}"
        )
        return error.exit_code
    if debug:
        import traceback  # noqa: PLC0415

        traceback.print_exception(error)
    say(explain_failure(error, config))
    return ExitCode.FAILED


def _what_there_is(config: Config, *, is_archive: bool) -> str:
    """What a job that was stopped has left, and what happens if it is run again."""
    used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
    shards = [
        name for name in used if config.exporters[name].settings.get("event_exporter_file_writing", "") == "shards"
    ]
    if is_archive or (used and len(shards) == len(used)):
        return "Files that were not complete have no name yet and are not there; running again writes them."
    if shards:
        return (
            f"What was delivered is complete, but for {', '.join(shards)}, whose files get their names when they are "
            "complete; running again delivers everything once more."
        )
    return "What was delivered is complete; running again delivers it once more."


def _account_of_rejects(ledger: Ledger) -> str:
    reasons = "".join(
        f"\n  {count:,} times: {reason}" for reason, count in list(ledger.reasons.items())[:_SHOWN_REASONS]
    )
    return (
        f"{ledger.rejected:,} of what was read or formatted could not be decoded or delivered and is in no output; "
        f"everything else is.{reasons}\nRepair the cause, or keep them with --rejects FILE, and run again."
    )
