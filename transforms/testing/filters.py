"""Assertions on filters, whose failures say what each comparison saw."""

from __future__ import annotations

from collections.abc import Iterator

from dovebeam.transforms.events.event import Event
from dovebeam.transforms.filters import Filter, Finding, explain, parse_filter
from dovebeam.transforms.values.addresses import IPAddress
from dovebeam.transforms.values.timestamps import Timestamp, format_rfc3339

__all__ = ["assert_matches", "assert_no_match", "why"]


def assert_matches(filter_: str | Filter, event: Event) -> None:
    """Passes if a filter matches an event.

    Raises:
        AssertionError: it does not; the text is that of `why`.
        FilterSyntaxError: the filter does not parse.
    """
    if not _parsed(filter_).matches(event):
        raise AssertionError(why(filter_, event))


def assert_no_match(filter_: str | Filter, event: Event) -> None:
    """Passes if a filter does not match an event.

    Raises:
        AssertionError: it does; the text is that of `why`.
        FilterSyntaxError: the filter does not parse.
    """
    if _parsed(filter_).matches(event):
        raise AssertionError(why(filter_, event))


def why(filter_: str | Filter, event: Event) -> str:
    """Why a filter matches an event, or why not: a line for it, and one for each comparison, in their order.

    Raises:
        FilterSyntaxError: the filter does not parse.
    """
    parsed = _parsed(filter_)
    explanation = explain(parsed, event)
    verdict = "matches" if explanation.matched else "does not match"
    lines = [f"the filter {parsed.text} {verdict} the event {event.name if event.name is not None else '(unnamed)'}"]
    return "\n".join([*lines, *(line for finding in explanation.findings for line in _lines(finding))])


def _parsed(filter_: str | Filter) -> Filter:
    return parse_filter(filter_) if isinstance(filter_, str) else filter_


def _lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.outcome:13}  {finding.comparison}  ({_found(finding)})"
    if finding.warning is not None:
        yield f"  {'':13}  {finding.warning.text}"


def _found(finding: Finding) -> str:
    value = finding.found
    if value is None:
        return f"the event has no {finding.comparison.key}"
    if isinstance(value, Timestamp):
        return f"the event has {format_rfc3339(value.usec)}"
    return f"the event has {value.text if isinstance(value, IPAddress) else repr(value)}"
