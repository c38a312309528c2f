"""The check of a configuration, from options to exit code, and its report: tables for people, or JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dovebeam.pipelines.check.findings import Findings, SeenNames, examine, with_name_advice
from dovebeam.pipelines.check.options import CheckOptions
from dovebeam.pipelines.check.sample import MetricCount, Sample, Trial, Verdict, take_sample
from dovebeam.pipelines.jobs.readable_input import readable_input, tell_terminal
from dovebeam.pipelines.terminal.exit_codes import ExitCode
from dovebeam.pipelines.terminal.logs import say
from dovebeam.pipelines.terminal.tables import Table, number, printable, show_tables
from dovebeam.transforms.config import SETTINGS, Config, Exporter, Metric
from dovebeam.transforms.errors import ConfigProblem
from dovebeam.transforms.filters import Finding, value_text
from dovebeam.transforms.formats import INCLUDE_PARTS
from dovebeam.transforms.sources import SourceError

__all__ = ["as_json", "run_check", "show_text"]

# Settings that say where events go: those that a driver requires, and that of the log driver, which has a default.
_TARGETS: Final = (*(name for name, row in SETTINGS.items() if row.required), "event_exporter_log_target")
_EXTENSIONS: Final = frozenset(row.short_name for row in SETTINGS.values() if row.extension)
_SHOWN_AS_COLUMNS: Final = frozenset(
    (*_TARGETS, *(f"event_exporter_{name}" for name in ("name", "driver", "format", "time_format")))
)
_MAX_WARNINGS: Final = 5
_PASSED_OVER: Final = "an event without a name, which is passed over since every filter asks for a name"


def run_check(options: CheckOptions) -> int:
    """Checks a configuration, tries sample events on it if there are any, and returns the exit code.

    Raises:
        UsageError: an option names something that does not exist, or a value that the option does not take.
    """
    tell_terminal(options.config)
    findings = examine(options.config, local=options.local, strict=options.strict)
    sample = None
    if (options.input or options.event) and not findings.errors:
        try:
            with readable_input(options.input, options.names) as readable:
                tried = dataclasses.replace(options, input=readable.patterns, names=readable.names)
                sample = take_sample(findings.config, tried)
        except SourceError as error:
            say(str(error))
            return ExitCode.FAILED
    # After the sample: a name that only a plugin's events have is not reported when the input has it.
    findings = with_name_advice(findings, sample.seen if sample else SeenNames())
    if options.format == "json":
        sys.stdout.write(f"{as_json(findings, sample)}\n")
    else:
        show_text(findings, sample, has_input=bool(options.input), explain=options.explain)
    if sample is not None and sample.damaged:
        for uri, damage in sample.damaged:
            say(f"{uri}: {damage}")
        return ExitCode.FAILED
    return ExitCode.CONFIG if findings.errors else ExitCode.DONE


# The report as tables.


def show_text(findings: Findings, sample: Sample | None, *, has_input: bool = False, explain: bool = False) -> None:
    """Prints the report: problems on standard error, tables on standard output.

    Args:
        findings: about the configuration.
        sample: results of sample events; None if none were tried.
        has_input: whether some of these came from files.
        explain: whether to show how often each comparison was true.
    """
    for problem in findings.warnings:
        say(f"warning: {problem}")
    for problem in findings.errors:
        say(f"error: {problem}")
    count = _counted(len(findings.warnings), "warning")
    if findings.errors:
        say(f"{_counted(len(findings.errors), 'error')}, {count}; the configuration cannot be used")
        return
    if sample is None:
        config = findings.config
        show_tables([_exports(findings), _settings(config)])
        sys.stdout.write(f"\nthe configuration can be used ({count})\n")
    else:
        show_tables(list(_sample_tables(sample, explain=explain)) if has_input else [])
        _show_trials(sample.trials)
    sys.stdout.flush()


def _target_of(findings: Findings, exporter: str) -> str:
    """Target of an exporter's events, without secrets."""
    # A configuration with errors may have a secret where a URL belongs, so nothing of it is shown.
    if findings.errors:
        return ""
    driver = findings.drivers.get(exporter)
    return driver.endpoint if driver is not None else ""


def _set_here(exporter: Exporter) -> Iterator[tuple[str, str, str]]:
    """Settings that the configuration sets and that have no column of their own: name, value without secrets, place."""
    settings = exporter.settings
    for name in settings:
        if settings.is_explicit(name) and name not in _SHOWN_AS_COLUMNS:
            yield SETTINGS[name].short_name, settings.shown(name), str(settings.place(name))


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _exports(findings: Findings) -> Table:
    """The table of metrics and where each sends its events."""
    config = findings.config
    rows = [
        (
            metric.name,
            metric.exporter or "-",
            *((exporter.driver, exporter.format, exporter.time_format) if exporter else ("", "", "")),
            _parts(metric) if exporter else "counted by Dovecot alone, not exported",
            _target_of(findings, metric.exporter),
        )
        for metric in config.metrics
        for exporter in [config.exporters.get(metric.exporter)]
    ]
    heads = ("metric", "exporter", "driver", "format", "times", "what goes out", "target")
    return Table(heads, frozenset(), rows)


def _parts(metric: Metric) -> str:
    include = metric.exporter_include
    parts = "everything" if include == INCLUDE_PARTS else " ".join(include) or "nothing"
    return (
        parts if not metric.fields or "fields" not in include else f"{parts}, {_counted(len(metric.fields), 'field')}"
    )


def _settings(config: Config) -> Table:
    """The table of settings beyond driver, format and target; those that only dovebeam has are marked."""
    used = {metric.exporter for metric in config.metrics}
    rows = [
        (name, setting, printable(value), "dovebeam" if setting in _EXTENSIONS else "Dovecot", place)
        for name, exporter in config.exporters.items()
        if name in used
        for setting, value, place in _set_here(exporter)
    ]
    return Table(("exporter", "setting", "value", "known to", "set in"), frozenset(), rows)


def _sample_tables(sample: Sample, *, explain: bool) -> Iterator[Table]:
    accounts = [("read", number(sample.read))]
    accounts += [(text, number(n)) for text, n in (("rejected", sample.rejected), ("unnamed", sample.unnamed)) if n]
    yield Table(("events", ""), frozenset({1}), accounts)
    rows = [(count.metric.name, count.metric.exporter or "-", number(count.matched)) for count in sample.metrics]
    yield Table(("metric", "exporter", "matched"), frozenset({2}), rows)
    if explain:
        for count in sample.metrics:
            yield _profile(count)
    notes = [*_bad_lines(sample), *_filter_warnings(sample.metrics), *_type_notes(sample.metrics)]
    yield Table(("note",), frozenset(), notes)


def _profile(count: MetricCount) -> Table:
    # An event that an AND or OR had decided before does not reach a comparison, so true and false may not add up.
    rows = [] if count.profile is None else [
        (
            printable(str(each.comparison)),
            number(each.true),
            number(each.false),
            number(count.profile.events - each.true - each.false),
            printable("; ".join(each.misses)),
        )
        for each in count.profile.counts
    ]  # fmt: skip
    heads = (f"{count.metric.name}: comparison", "true", "false", "not reached", "false on, for example")
    return Table(heads, frozenset({1, 2, 3}), rows)


def _bad_lines(sample: Sample) -> Iterator[tuple[str]]:
    for reject in sample.bad:
        yield (printable(f"{reject.source_uri}, byte {reject.source_offset}: {reject.error_message}"),)


def _filter_warnings(counts: Iterable[MetricCount]) -> Iterator[tuple[str]]:
    for count in counts:
        # Dovecot writes such a warning for each comparison and value, which would fill a screen.
        # A filter with many comparisons can have many warnings of one kind, which would fill a screen.
        for warning in count.warnings[:_MAX_WARNINGS]:
            yield (printable(f"metric {count.metric.name}: {warning.text}"),)


def _type_notes(counts: Iterable[MetricCount]) -> Iterator[tuple[str]]:
    for count in counts:
        for each in () if count.profile is None else count.profile.counts:
            for note in each.notes:
                yield (printable(f"metric {count.metric.name}: {each.comparison}, {note}"),)


def _show_trials(trials: Iterable[Trial]) -> None:
    for trial in trials:
        sys.stdout.write(f"\n{printable(trial.event.name or 'an event without a name')}\n")
        # Dovecot does not ask any filter about such an event, so there are no verdicts to show.
        if trial.passed_over:
            sys.stdout.write(f"  {_PASSED_OVER}\n")
        for verdict in trial.verdicts:
            sys.stdout.write("".join(f"  {line}\n" for line in _verdict_lines(verdict)))


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    metric, explanation, payload = verdict
    yield f"metric {metric.name}: {'matches' if explanation.matched else 'does not match'}"
    for finding in explanation.findings:
        yield f"  {finding.outcome:13}  {printable(str(finding.comparison))}  ({_found(finding)})"
        if finding.warning is not None:
            yield f"                 {printable(finding.warning.text)}"
        if finding.note:
            yield f"                 {printable(finding.note)}"
    # A payload may hold any byte and tabs; a tab as one space keeps tab-text on one line without hiding its borders.
    if explanation.matched and metric.exporter:
        yield f"  {metric.exporter} gets: {printable(payload.decode('utf-8', 'replace').expandtabs(1))}"


def _found(finding: Finding) -> str:
    return printable(f"the event has {value_text(finding.found)}")


# The report as JSON.


def as_json(findings: Findings, sample: Sample | None) -> str:
    """The report as an indented JSON object, without a line feed at its end."""
    config = findings.config
    # Problems are written with their parts, so that an editor or a CI job can mark the line.
    answer: dict[str, Any] = {
        "usable": not findings.errors,
        "errors": [_problem_as_dict(each) for each in findings.errors],
        "warnings": [_problem_as_dict(each) for each in findings.warnings],
        "dovecot_error": findings.dovecot_error,
        "metrics": [
            {"name": metric.name, "block": metric.block_name, "exporter": metric.exporter, "filter": str(metric.filter)}
            for metric in config.metrics
        ],
        "exporters": [
            {
                "name": exporter.name,
                "driver": exporter.driver,
                "format": exporter.format,
                "target": _target_of(findings, exporter.name),
                "settings": {name: value for name, value, _ in _set_here(exporter)},
            }
            for exporter in config.exporters.values()
        ],
    }
    if sample is not None:
        answer["sample"] = _sample_as_dict(sample)
    return json.dumps(answer, indent=2)


def _problem_as_dict(problem: ConfigProblem) -> dict[str, str | int]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "suggestion": problem.suggestion,
        "dovecot": problem.dovecot,
    }


def _sample_as_dict(sample: Sample) -> dict[str, Any]:
    return {
        "read": sample.read,
        "no_events": sample.rejected,
        "unnamed": sample.unnamed,
        "metrics": [_count_as_dict(each) for each in sample.metrics],
        "events": [_trial_as_dict(each) for each in sample.trials],
    }


def _count_as_dict(count: MetricCount) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": count.metric.name,
        "matched": count.matched,
        "warnings": [warning.text for warning in count.warnings],
    }
    if count.profile is not None:
        found["comparisons"] = [
            {
                "comparison": str(each.comparison),
                "true": each.true,
                "false": each.false,
                "misses": list(each.misses),
                **({"notes": list(each.notes)} if each.notes else {}),
            }
            for each in count.profile.counts
        ]
    return found


def _trial_as_dict(trial: Trial) -> dict[str, Any]:
    return {
        "event": trial.event.name,
        "passed_over": trial.passed_over,
        "metrics": [
            {
                "name": metric.name,
                "matches": explanation.matched,
                "comparisons": [
                    {
                        "comparison": str(each.comparison),
                        "outcome": each.outcome,
                        "found": value_text(each.found),
                        **({"note": each.note} if each.note else {}),
                    }
                    for each in explanation.findings
                ],
                "payload": payload.decode("utf-8", "replace"),
            }
            for metric, explanation, payload in trial.verdicts
        ],
    }
