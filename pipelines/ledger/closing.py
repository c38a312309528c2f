"""The end of every job: counters become a ledger that is shown and written, and an exit code; failures a message."""

from __future__ import annotations

import dataclasses
import json
import shlex
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TextIO

from apache_beam.runners.runner import PipelineResult

from dovebeam.pipelines.jobs.outputs import replace_file
from dovebeam.pipelines.ledger.ledger import ExporterAccount, Ledger
from dovebeam.pipelines.options.arguments import STDOUT
from dovebeam.pipelines.running.local import InterruptedJobError, explain_failure
from dovebeam.pipelines.terminal.exit_codes import ExitCode, UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.standard_streams import write_to_stdout
from dovebeam.pipelines.terminal.tables import Table, number, printable, show_tables, text_of
from dovebeam.transforms import counters
from dovebeam.transforms.config import Config
from dovebeam.transforms.errors import DeliveryError
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.progress import JobMonitor

__all__ = [
    "UNNAMED_FILES",
    "account_as_json",
    "close_job",
    "close_started",
    "close_unfinished",
    "counters_of",
    "counters_so_far",
    "damage_text",
    "event_table",
    "ledger_text",
    "report_failure",
    "show_ledger",
    "unmatching_metrics_text",
    "write_account",
]


_SHOWN_REASONS: Final = 10
_SHOWN_FILES: Final = 100
_SHOWN_INPUTS: Final = 5  # a replay has one for each file of its archive
_SHOWN_METRICS: Final = 10
_MAX_TARGET_CHARS: Final = 60
_COUNTS: Final = MappingProxyType(
    {
        "formatted": "formatted",
        "queued_before": "queued before",
        "delivered": "delivered",
        "rejected": "rejected",
        "waiting": "waiting",
        "delivered_bytes": "bytes",
    }
)
"""Heads of columns by the attributes of `ExporterAccount`."""

_OF_QUEUES: Final = frozenset({"queued_before", "waiting"})

UNNAMED_FILES: Final = "Files that were not complete have no name yet and are not there; running again writes them."
"""Message of a job that was stopped about files that get their names when they are complete."""


# The ledger as text.


def show_ledger(ledger: Ledger, out: TextIO | None = None) -> None:
    """Prints the ledger, by default on standard output; in colour if that is a terminal."""
    show_tables(_tables(ledger), out)


def ledger_text(ledger: Ledger) -> str:
    """The ledger as text in aligned columns."""
    return text_of(_tables(ledger))


def event_table(ledger: Ledger) -> Table:
    """Table of all events that were read."""
    rows = [
        ("read", number(ledger.read)),
        ("matched", number(ledger.matched)),
        ("unmatched", number(ledger.unmatched)),
        ("out of range", number(ledger.out_of_range)),
        ("rejected", number(ledger.undecodable)),
    ]
    if ledger.resent or ledger.held_back:
        rows += [("sent again", number(ledger.resent)), ("held back", number(ledger.held_back))]
    if ledger.nul_bytes:
        rows.append(("NUL bytes skipped", number(ledger.nul_bytes)))
    return Table(("events", ""), frozenset({1}), rows)


def _tables(ledger: Ledger) -> list[Table]:
    metrics = [(metric.name, metric.exporter, number(metric.matched)) for metric in ledger.metrics]
    reasons = [(printable(reason), number(count)) for reason, count in ledger.reasons.items()]
    return [
        event_table(ledger),
        Table(("metric", "exporter", "matched"), frozenset({2}), metrics),
        _exporter_table(ledger.exporters),
        Table(("rejected because", ""), frozenset({1}), reasons),
        Table(
            ("left out, something of a later Dovecot",), frozenset(), [(printable(name),) for name in ledger.left_out]
        ),
    ]


def _exporter_table(exporters: Sequence[ExporterAccount]) -> Table:
    """Table of the payloads of each exporter."""
    # Columns for queues only where one was used: most exports and streams have none.
    has_queues = any(exporter.waiting or exporter.queued_before for exporter in exporters)
    counts = [name for name in _COUNTS if has_queues or name not in _OF_QUEUES]
    rows = [
        (each.name, each.driver, *(number(getattr(each, name) or 0) for name in counts), _shortened(each.target))
        for each in exporters
    ]
    heads = ("exporter", "driver", *(_COUNTS[name] for name in counts), "to")
    return Table(heads, frozenset(range(2, 2 + len(counts))), rows)


def _shortened(text: str) -> str:
    # The end of a URL or path tells targets apart, so the start is cut.
    text = printable(text)
    return text if len(text) <= _MAX_TARGET_CHARS else f"...{text[3 - _MAX_TARGET_CHARS :]}"


def damage_text(damaged: Sequence[str]) -> str:
    """Message about files that could not be read completely, with what to do."""
    names = "".join(f"\n  {printable(name)}" for name in damaged[:_SHOWN_FILES])
    more = f"\n  and {len(damaged) - _SHOWN_FILES} more, which --ledger names" if len(damaged) > _SHOWN_FILES else ""
    return (
        f"{len(damaged)} of the input files are damaged; what cannot be read of them was rejected. Restore them, for "
        f"example from a backup, and run again:{names}{more}"
    )


def rejects_text(ledger: Ledger) -> str:
    """Message about rejects that are in no output, with what to do."""
    reasons = "".join(
        f"\n  {'once' if count == 1 else f'{count:,} times'}: {reason}"
        for reason, count in list(ledger.reasons.items())[:_SHOWN_REASONS]
    )
    return (
        f"{ledger.rejected:,} of what was read or formatted could not be decoded or delivered and is in no output; "
        f"everything else is.{reasons}\nRepair the cause, or keep them with --rejects FILE, and run again."
    )


def unmatching_metrics_text(ledger: Ledger, config: Sequence[str], inputs: Sequence[str]) -> str:
    """Message about metrics that matched no event, with the command that shows why; empty if there are none.

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
    # `check` reads local files only, and a command of many lines is not one to copy.
    local = len(inputs) <= _SHOWN_INPUTS and not any(map(is_url, inputs))
    command = (
        shlex.join(["dovebeam", "check", *options, "--explain", *metrics]) if local else "dovebeam check --explain"
    )
    return (
        f"warning: {'this metric' if len(names) == 1 else 'these metrics'} matched none of {events:,} events: "
        f"{', '.join(names[:_SHOWN_METRICS])}{more}; to see why: {command}"
    )


# The end of a job.


def counters_of(result: PipelineResult) -> Iterator[tuple[str, int]]:
    """Names and values of dovebeam's counters, one for each step that has it."""
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == counters.NAMESPACE:
            yield counter.key.metric.name, counter.result


def counters_so_far(monitor: JobMonitor) -> Iterator[tuple[str, int]]:
    """Names and values of the counters of a job on this machine that was stopped or failed.

    Args:
        monitor: the monitor of its workers. What arrived of a batch that was on its way counts as delivered.
    """
    # A batch in the middle of its delivery has a counter of its own until it is counted as a whole.
    for name, value in monitor.counters().items():
        kind, slash, exporter = name.partition("/")
        yield (f"delivered/{exporter}" if slash and kind == counters.ARRIVING else name), value


def close_job(ledger: Ledger, path: str | None, *, are_rejects_kept: bool) -> int:
    """Shows and writes the ledger of a job; returns the exit code.

    Args:
        ledger: of the job.
        path: file for it as JSON, None for none.
        are_rejects_kept: whether rejects went to an output. Otherwise a job with rejects has failed.
    """
    # Shown first: then a full disk costs the file, but not the account.
    show_ledger(ledger)
    imbalances = ledger.imbalances()
    for imbalance in imbalances:
        say(f"lost count: {imbalance}; please report this, and do not rely on this run")
    if ledger.damaged:
        say(damage_text(ledger.damaged))
    unkept = bool(ledger.rejected) and not are_rejects_kept
    if unkept:
        say(rejects_text(ledger))
    # What could not be read of a damaged file is in no output, so --rejects does not make that job complete.
    written = path is None or write_account(path, ledger.as_dict())
    return ExitCode.DONE if written and not (unkept or imbalances or ledger.damaged) else ExitCode.FAILED


def close_started(
    launch: Callable[[JobMonitor], PipelineResult | None],
    account: Callable[[Iterable[tuple[str, int]]], Ledger],
    failed: Callable[[Exception], int],
    path: str | None,
    *,
    are_rejects_kept: bool,
) -> tuple[int, Ledger | None]:
    """Launches a job and closes it, whether it succeeds, fails or is stopped.

    Args:
        launch: runs the job to its end if it is waited for; it enters the monitor if the workers count here.
        account: makes a ledger of counters.
        failed: prints what went wrong, and returns the exit code for it.
        path: see `close_job`.
        are_rejects_kept: see `close_job`.

    Returns:
        The exit code, and the ledger if the job came to its end.

    Raises:
        UsageError: options that Beam refuses, or that contradict each other.
    """
    monitor = JobMonitor()
    try:
        result = launch(monitor)
    except UsageError:
        raise
    except Exception as error:
        code = failed(error)
        if monitor.has_begun:
            close_unfinished(account(counters_so_far(monitor)), path, show=isinstance(error, InterruptedJobError))
        return code, None
    # A remote job that is not waited for.
    if result is None:
        return ExitCode.DONE, None
    ledger = account(counters_of(result))
    return close_job(ledger, path, are_rejects_kept=are_rejects_kept), ledger


def close_unfinished(ledger: Ledger, path: str | None, *, show: bool) -> None:
    """Writes the ledger of a job that was stopped or failed, marked as incomplete.

    Args:
        ledger: of the counters so far.
        path: file for it as JSON, None for none.
        show: whether to print it, too. After a failure only its cause should be seen.
    """
    ledger = dataclasses.replace(ledger, complete=False)
    if show:
        show_ledger(ledger)
    if path is not None:
        write_account(path, ledger.as_dict())


def account_as_json(account: Mapping[str, Any]) -> bytes:
    """Content of a ledger's file; names that are not UTF-8 are escaped."""
    return json.dumps(account, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def write_account(path: str, account: Mapping[str, Any]) -> bool:
    """Writes a ledger that was already shown to a file as JSON; prints an error, and returns whether it succeeded."""
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
    """Prints why a job was stopped or failed; returns the exit code.

    Args:
        error: raised by the launch.
        config: of the job; an exporter that failed is named with its place.
        debug: whether to show the traceback.
        left: message about the output of a job that a signal stopped, and about the next run; by default an export's.
    """
    if isinstance(error, InterruptedJobError):
        # Of a batch that was cut off an unknown part has arrived.
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
    """Message about the output of an export that was stopped, and about running it again."""
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
