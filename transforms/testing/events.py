"""Events for tests, and assertions: on filters, on rejects, and on what a pipeline counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovebeam.transforms.codecs import decode_json, decode_tab, encode_json
from dovebeam.transforms.codecs.lines import typed_fields
from dovebeam.transforms.counters import NAMESPACE
from dovebeam.transforms.events.catalogue import CATALOGUE, Value
from dovebeam.transforms.events.event import Event, make_event
from dovebeam.transforms.events.reject import Reject, Stage
from dovebeam.transforms.events.values import IPAddress, Timestamp, format_rfc3339
from dovebeam.transforms.filters import Filter, Finding, explain, parse_filter

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

__all__ = [
    "ExpectedReject",
    "assert_balanced",
    "assert_matches",
    "assert_no_match",
    "counters_of",
    "event_of_line",
    "holds_rejects",
    "sample_event",
    "why",
    "write_events",
]


def sample_event(
    name: str | None = None,
    /,
    *,
    categories: Sequence[str] | None = None,
    hostname: str | None = None,
    start_time: int | None = None,
    end_time: int | None = None,
    **fields: Value,
) -> Event:
    """Makes an event as a job reads it from an export: `sample_event("imap_command_finished", user="a", duration=5)`.

    Args:
        name: name of the event; None for an unnamed event.
        categories: all of them, ancestors included; None if they were not exported.
        hostname: host of the exporting process; None if it was not exported.
        start_time: microseconds since 1970; None if it was not exported.
        end_time: microseconds since 1970; None if it was not exported.
        fields: in this order. As in a line of an export, a text becomes an address or a time if Dovecot's field is one.
    """
    kept = None if categories is None else list(categories)
    # Lines have no types: an export's reader recovers them by Dovecot's names, and so does this.
    typed = typed_fields(fields, name, kept, CATALOGUE)
    return make_event(name, fields=typed, categories=kept, hostname=hostname, start_time=start_time, end_time=end_time)


def event_of_line(line: str | bytes) -> Event:
    """Decodes a line that Dovecot exported, in JSON or tab-text.

    Raises:
        DecodeError: the line is not an event.
    """
    data = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
    stripped = data.strip(b"\r\n")
    return decode_json(stripped) if stripped.lstrip().startswith(b"{") else decode_tab(stripped)


def write_events(path: str | os.PathLike[str], events: Iterable[Event]) -> Path:
    """Writes events as lines of JSON to a file, as Dovecot's driver `file` does, and returns its path."""
    target = Path(path)
    target.write_bytes(b"".join(encode_json(event) + b"\n" for event in events))
    return target


# Filters. A failed assertion says what each comparison saw.


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
    """Explains why a filter matches an event or not: one line with the result, then the comparisons in their order.

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


# Rejects of a pipeline.

_SHOWN_BYTES: Final = 60


@dataclass(frozen=True)
class ExpectedReject:
    """Expected reject; an attribute that is not given may have any value.

    Attributes:
        payload: its exact bytes.
        stage: where it was rejected.
        reason: a part of the error message.
        exporter: the exporter that was to deliver it.
        http_status: the status of the last attempt.
    """

    payload: bytes | None = None
    stage: Stage | None = None
    reason: str = ""
    exporter: str | None = field(default=None, kw_only=True)
    http_status: int | None = field(default=None, kw_only=True)

    def fits(self, reject: Reject) -> bool:
        """Whether a reject is as expected."""
        pairs = (
            (self.payload, reject.payload_bytes),
            (self.stage, reject.stage),
            (self.exporter, reject.exporter),
            (self.http_status, reject.http_status),
        )
        return self.reason in reject.error_message and all(want is None or want == is_ for want, is_ in pairs)


def holds_rejects(expected: Iterable[ExpectedReject]) -> Callable[[Iterable[Reject]], None]:
    """Matcher for Beam's `assert_that`: a collection has exactly these rejects, in any order.

    Args:
        expected: the expected rejects. If a reject fits several of them, put the most specific one first.
    """
    wanted = list(expected)

    def check(actual: Iterable[Reject]) -> None:
        left = list(actual)
        missing = []
        # Each takes the first reject that fits, which is why the precise ones come first.
        for each in wanted:
            found = next((n for n, reject in enumerate(left) if each.fits(reject)), None)
            if found is None:
                missing.append(each)
            else:
                del left[found]
        if missing or left:
            told = [*(f"missing: {each}" for each in missing), *(f"not expected: {_told(reject)}" for reject in left)]
            raise AssertionError("\n".join(told))

    return check


def _told(reject: Reject) -> str:
    payload = reject.payload_bytes
    shown = f"{payload[:_SHOWN_BYTES]!r}{'...' if len(payload) > _SHOWN_BYTES else ''}"
    whom = f" by {reject.exporter}" if reject.exporter else ""
    return f"{shown} at {reject.stage}{whom}: {reject.error_message}"


# Counters of a pipeline, and the equations that hold if nothing was lost.


def counters_of(result: PipelineResult) -> dict[str, int]:
    """Counters of dovebeam by name, summed over all steps.

    Args:
        result: the result of `pipeline.run()`, after `wait_until_finish()`. After a `with` block, it is `p.result` of
            the pipeline `p`.
    """
    counters: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == NAMESPACE:
            name = counter.key.metric.name
            counters[name] = counters.get(name, 0) + counter.result
    return counters


def assert_balanced(counters: Mapping[str, int]) -> None:
    """Passes if the counters account for every event of an `ExportEvents`.

    Every event that was read is matched, unmatched, out of range or undecodable. Every payload that was formatted for
    an exporter is delivered or rejected.

    Args:
        counters: from `counters_of`.

    Raises:
        AssertionError: the counters do not add up; the text has each sum that is wrong.
    """
    wrong = [text for text in _equations(counters) if text]
    if wrong:
        raise AssertionError("\n".join(wrong))


def _equations(counters: Mapping[str, int]) -> Iterable[str]:
    # Those of the ledger of a job, which is the authority; this package needs no pipelines/.
    parts = ("matched", "unmatched", "out_of_range", "undecodable")
    yield _compared("read", counters, parts)
    exporters = {name.partition("/")[2] for name in counters if name.startswith("formatted/")}
    for exporter in sorted(exporters):
        yield _compared(f"formatted/{exporter}", counters, (f"delivered/{exporter}", f"rejected/{exporter}"))


def _compared(name: str, counters: Mapping[str, int], parts: Iterable[str]) -> str:
    whole, counts = counters.get(name, 0), {part: counters.get(part, 0) for part in parts}
    if whole == sum(counts.values()):
        return ""
    return f"{name} is {whole}, but " + " + ".join(f"{part} {count}" for part, count in counts.items())
