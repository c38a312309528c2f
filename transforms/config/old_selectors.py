"""What selected events in a metric of Dovecot 2.3, put together to the one line that does it in 2.4."""

from __future__ import annotations

from dovebeam.transforms.config.blocks import Context
from dovebeam.transforms.config.disclosure import is_guarded_name
from dovebeam.transforms.config.legacy import comparison
from dovebeam.transforms.config.state import ParserState
from dovebeam.transforms.config.statements import Assignment, StatementError, ValueKind
from dovebeam.transforms.config.written_values import value_of

__all__ = ["add_comparison", "note_selector", "suggest_filter"]


def note_selector(state: ParserState, metric: Context, terms: tuple[str, ...] = ()) -> None:
    """Remember that the error that was just reported is about a selector of a metric, with its part of a filter."""
    metric.excused = True
    metric.old_terms += terms
    if not state.report.dropped_errors:
        metric.old_errors.append(len(state.report.errors) - 1)


def add_comparison(state: ParserState, metric: Context, statement: Assignment) -> None:
    """Take a line of a block `filter { }`, all of which had to match."""
    if statement.kind in {ValueKind.HEREDOC, ValueKind.FILE} or len(statement.line.marks) > 1:
        return
    if is_guarded_name(statement.key):
        return
    try:
        value = value_of(statement, state.environ)
    except StatementError:
        return
    if not value.from_outside and not value.names:
        metric.old_terms.append(comparison(statement.key, value.text))


def suggest_filter(state: ParserState, metric: Context) -> None:
    """At the end of a metric: show the whole filter with each error about a part of it."""
    if not metric.old_terms:
        return
    assigned = metric.scalars.get("metric_filter")
    terms = [f"({assigned.value.text})"] if assigned and assigned.value.is_public and assigned.value.text else []
    several = " of all of them" if len(metric.old_errors) > 1 or terms else ""
    line = f"filter = {' AND '.join(dict.fromkeys([*terms, *metric.old_terms]))}"
    for number in metric.old_errors:
        state.report.suggest(number, f"write instead{several}:\n{line}")
    metric.old_terms.clear()
    metric.old_errors.clear()
