"""The end of every job: its counters become a ledger, the ledger an exit code; a failure becomes a sentence."""

from __future__ import annotations

import dataclasses
import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.jobs.outputs import replace_file
from dovebeam.pipelines.ledger.ledger import Ledger
from dovebeam.pipelines.ledger.text import damage_text, rejects_text, show_ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.running.local import InterruptedJobError, explain_failure
from dovebeam.pipelines.terminal.exit_codes import ExitCode, UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import write_to_stdout
from dovebeam.transforms import counters
from dovebeam.transforms.config import Config
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.progress import Board

__all__ = [
    "UNNAMED_FILES",
    "account_as_json",
    "close_job",
    "close_started",
    "close_unfinished",
    "counters_of",
    "counters_so_far",
    "report_failure",
    "write_account",
]


UNNAMED_FILES: Final = "Files that were not complete have no name yet and are not there; running again writes them."
"""What a job that was stopped says of files that get their names when they are complete."""


def counters_of(result: PipelineResult) -> Iterator[tuple[str, int]]:
    """Names and values of dovebeam's counters, one for each step that has it."""
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == counters.NAMESPACE:
            yield counter.key.metric.name, counter.result


def counters_so_far(board: Board) -> Iterator[tuple[str, int]]:
    """Names and values of the counters of a job on this machine that was stopped or failed.

    Args:
        board: of its workers. What arrived of a batch that was on its way counts as delivered.
    """
    for name, value in board.counters().items():
        kind, slash, exporter = name.partition("/")
        yield (f"delivered/{exporter}" if slash and kind == counters.ARRIVING else name), value


def close_job(ledger: Ledger, path: str | None, *, are_rejects_kept: bool) -> int:
    """Shows and writes the ledger, and says by the exit code whether it is that of a job that may count as done.

    It is shown first: a disk that is full then costs the file, but not the account.

    Args:
        ledger: of the job.
        path: file for it as JSON, None for none.
        are_rejects_kept: whether rejects went to an output. If they did not, a job with rejects is not done.
    """
    show_ledger(ledger)
    imbalances = ledger.imbalances()
    for imbalance in imbalances:
        say(f"lost count: {imbalance}; please report this, and do not rely on this run")
    if ledger.damaged:
        say(damage_text(ledger.damaged))
    unkept = bool(ledger.rejected) and not are_rejects_kept
    if unkept:
        say(rejects_text(ledger))
    written = path is None or write_account(path, ledger.as_dict())
    return ExitCode.DONE if written and not (unkept or imbalances or ledger.damaged) else ExitCode.FAILED


def close_started(
    launch: Callable[[Board], PipelineResult | None],
    account: Callable[[Iterable[tuple[str, int]]], Ledger],
    failed: Callable[[Exception], int],
    path: str | None,
    *,
    are_rejects_kept: bool,
) -> tuple[int, Ledger | None]:
    """Launches a job and closes it, however it ends.

    Args:
        launch: runs the job to its end if it is waited for; tells the board what is done if that is known here.
        account: makes a ledger of counters.
        failed: says what went wrong, and returns the exit code for it.
        path: see `close_job`.
        are_rejects_kept: see `close_job`.

    Returns:
        The exit code, and the ledger if the job came to its end.

    Raises:
        UsageError: options that fit neither Beam nor each other.
    """
    board = Board()
    try:
        result = launch(board)
    except UsageError:
        raise
    except Exception as error:
        code = failed(error)
        if board.has_begun:
            close_unfinished(account(counters_so_far(board)), path, show=isinstance(error, InterruptedJobError))
        return code, None
    if result is None:
        return ExitCode.DONE, None
    ledger = account(counters_of(result))
    return close_job(ledger, path, are_rejects_kept=are_rejects_kept), ledger


def close_unfinished(ledger: Ledger, path: str | None, *, show: bool) -> None:
    """Writes the ledger of a job that was stopped or failed: what certainly happened, as incomplete.

    Args:
        ledger: of the counters so far.
        path: file for it as JSON, None for none.
        show: whether to print it, too. Of a failure its cause is all that should be seen.
    """
    ledger = dataclasses.replace(ledger, complete=False)
    if show:
        show_ledger(ledger)
    if path is not None:
        write_account(path, ledger.as_dict())


def account_as_json(account: Mapping[str, Any]) -> bytes:
    """The file of a ledger; names that are not UTF-8 are escaped."""
    return json.dumps(account, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def write_account(path: str, account: Mapping[str, Any]) -> bool:
    """Writes what was already shown to a file as JSON; says so if it cannot be written, and returns whether it was."""
    try:
        content = account_as_json(account)
        if path == STDOUT:
            write_to_stdout(content)
        else:
            replace_file(path, content)
    except OSError as error:
        say(f"the ledger was not written: write(standard output) failed: {error.strerror}; it is shown above")
        return False
    except DeliveryError as error:
        say(f"the ledger was not written: {error}; it is shown above")
        return False
    return True


def report_failure(error: Exception, config: Config, *, debug: bool, left: str = "") -> int:
    """Says why a job ended, and returns the exit code for that.

    Args:
        error: what the launch raised.
        config: of the job; an exporter that failed is named with its place.
        debug: whether to show the traceback.
        left: what the job has left if a signal stopped it, and what the next run does; by default as of an export.
    """
    if isinstance(error, InterruptedJobError):
        done, how = error.totals, "in the middle of a batch" if error.torn else "between two batches"
        least = "at least " if error.torn else ""
        say(
            f"stopped {how}: {done.events:,} events were read, {least}{done.delivered:,} payloads delivered and "
            f"{least}{done.rejected:,} rejected. {left or _left_by_export(config)}"
        )
        return error.exit_code
    if debug:
        traceback.print_exception(error)
    say(explain_failure(error, config))
    return ExitCode.FAILED


def _left_by_export(config: Config) -> str:
    """What an export that was stopped has left, and what happens if it is run again."""
    used = dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter)
    shards = [
        name for name in used if config.exporters[name].settings.get("event_exporter_file_writing", "") == "shards"
    ]
    if used and len(shards) == len(used):
        return UNNAMED_FILES
    if shards:
        return (
            f"What was delivered is complete, but for {', '.join(shards)}, whose files get their names when they are "
            "complete; running again delivers everything a second time."
        )
    return "What was delivered is complete; running again delivers it a second time."
