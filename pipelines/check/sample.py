"""Sample events that a configuration is tried on: which metrics match them, and the result of each comparison."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dovebeam.pipelines.check.findings import SeenNames
from dovebeam.pipelines.check.options import CheckOptions
from dovebeam.pipelines.options.arguments import DEFAULT_MAX_LINE_BYTES
from dovebeam.pipelines.terminal.exit_codes import UsageError
from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.codecs import decode_json, decode_tab
from dovebeam.transforms.config import Config, Metric
from dovebeam.transforms.errors import DecodeError, UnknownNameError
from dovebeam.transforms.events.event import Event
from dovebeam.transforms.events.reject import Reject
from dovebeam.transforms.filters import Explanation, FilterWarning, Profile, accepts_unnamed, explain
from dovebeam.transforms.local_files import is_url
from dovebeam.transforms.plan.decoding import decode_block
from dovebeam.transforms.plan.export_plan import metric_formatter
from dovebeam.transforms.sources import distinct_files, read_local_blocks
from dovebeam.transforms.sources.streams import TORN

__all__ = ["MetricCount", "Sample", "Trial", "Verdict", "take_sample"]

_MAX_BAD_SHOWN: Final = 3


@dataclass(slots=True)
class MetricCount:
    """Result of the input for one metric.

    Attributes:
        metric: the metric.
        matched: number of events that it matched.
        profile: results of its comparisons; None without `--explain`.
    """

    metric: Metric
    matched: int = 0
    profile: Profile | None = None

    @property
    def warnings(self) -> tuple[FilterWarning, ...]:
        """Warnings that Dovecot would have written to its log."""
        return (self.profile or self.metric.filter).warnings


class Verdict(NamedTuple):
    """Result of one event for one metric; the payload is empty if the event is not exported."""

    metric: Metric
    explanation: Explanation
    payload: bytes


class Trial(NamedTuple):
    """One event of `--event` and the verdicts of the metrics on it; none if the event is passed over."""

    event: Event
    passed_over: bool
    verdicts: Sequence[Verdict]


@dataclass(slots=True)
class Sample:
    """Results of all sample events.

    Attributes:
        metrics: the counts of each metric that was asked for, in the order of the configuration.
        read: number of lines or records that were read.
        unnamed: number of events that Dovecot passes over because all filters ask for a name.
        rejected: number of lines that could not be decoded.
        bad: the first of these.
        trials: results of the events of `--event`.
        damaged: files that could not be read whole, with the reasons.
        seen: the names in all these events.
    """

    metrics: Sequence[MetricCount]
    read: int = 0
    unnamed: int = 0
    rejected: int = 0
    bad: list[Reject] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    seen: SeenNames = field(default_factory=SeenNames)


def take_sample(config: Config, options: CheckOptions) -> Sample:
    """Tries a configuration on the events that the options name.

    Raises:
        UsageError: an unknown metric, a pattern that matches no file, or an event that cannot be decoded.
        SourceError: a file that cannot be read.
    """
    # Asked of all metrics, also those that --metric leaves out: one filter without event= lets unnamed events through
    # for every metric, as in Dovecot.
    unnamed = accepts_unnamed([metric.filter for metric in config.metrics])
    sample = Sample([MetricCount(metric) for metric in _chosen(config, options.metric)])
    sample.trials.extend(_try(line, config, sample.metrics, unnamed=unnamed) for line in options.event)
    sample.seen.add(trial.event for trial in sample.trials)
    for count in sample.metrics:
        count.profile = Profile(count.metric.filter) if options.explain else None
    left = options.max_events
    for path in _paths(options.input):
        for events in _batches(path, options, sample, left):
            _count(events, sample, unnamed=unnamed)
            left = None if left is None else left - len(events)
        if left == 0:
            break
    return sample


def _chosen(config: Config, names: Sequence[str]) -> list[Metric]:
    known = {metric.block_name for metric in config.metrics}
    for name in names:
        if name not in known:
            raise UsageError(f"--metric: {UnknownNameError('metric', name, known)}")
    return [metric for metric in config.metrics if not names or metric.block_name in names]


def _paths(patterns: Sequence[str]) -> Iterator[str]:
    """Files that the patterns match, each once."""
    paths, again = distinct_files([path for pattern in patterns for path in _matching(pattern)])
    for path, kept in again:
        say(f"{path} is the same file as {kept}, and is read once")
    return iter(paths)


def _matching(pattern: str) -> list[str]:
    if is_url(pattern):
        raise UsageError(f"--input {pattern} is not on this machine; check reads local files only, copy some here")
    matched = sorted(glob.glob(pattern, recursive=True))
    # A directory that a pattern happens to match is skipped; one that is named gets the error of reading it.
    found = [path for path in matched if path == pattern or not os.path.isdir(path)]
    # So does a path that does not exist: its error names the cause, such as a missing permission.
    if not found and not glob.has_magic(pattern):
        found = [pattern]
    if not found:
        raise UsageError(f"--input {pattern} matches no file")
    return found


def _batches(path: str, options: CheckOptions, sample: Sample, limit: int | None) -> Iterator[Sequence[Event]]:
    """Events of a file, at most `limit`; rejects and damage are noted in the sample."""
    for block in read_local_blocks(
        path, options.input_format, DEFAULT_MAX_LINE_BYTES, dict(options.names).get(path, "")
    ):
        # A file that is being written may end within a line; that is not damage.
        if block.damage and block.damage != TORN:
            sample.damaged.append((block.uri, block.damage))
        found = decode_block(block)
        events = found.decoded.events if limit is None else found.decoded.events[:limit]
        sample.read += len(events) + len(found.rejects)
        sample.rejected += len(found.rejects)
        sample.bad.extend(found.rejects[: _MAX_BAD_SHOWN - len(sample.bad)])
        yield events
        if limit is not None:
            limit -= len(events)
            if not limit:
                return


def _count(events: Sequence[Event], sample: Sample, *, unnamed: bool) -> None:
    sample.seen.add(events)
    looked_at = events if unnamed else [event for event in events if event.name is not None]
    sample.unnamed += len(events) - len(looked_at)
    for count in sample.metrics:
        matches = count.profile.add if count.profile is not None else count.metric.filter.matches
        count.matched += sum(map(matches, looked_at))


def _try(line: str, config: Config, counts: Sequence[MetricCount], *, unnamed: bool) -> Trial:
    # Arguments hold bytes that are not UTF-8 as surrogates; this gives back the bytes that were typed.
    data = line.encode("utf-8", "surrogateescape")
    try:
        event = decode_json(data) if data.lstrip()[:1] == b"{" else decode_tab(data)
    except DecodeError as error:
        raise UsageError(f"--event is not a valid event: {error}") from None
    passed_over = event.name is None and not unnamed
    verdicts = [] if passed_over else [_verdict(event, count.metric, config) for count in counts]
    return Trial(event, passed_over, verdicts)


def _verdict(event: Event, metric: Metric, config: Config) -> Verdict:
    explanation = explain(metric.filter, event)
    written = explanation.matched and metric.exporter
    payload = metric_formatter(metric, config.exporters[metric.exporter]).format(event) if written else b""
    return Verdict(metric, explanation, payload)
