"""What `dovebeam check` tells programs: one JSON object, in which nothing is secret."""

from __future__ import annotations

import json
from typing import Any

from dovebeam.pipelines.check.findings import Findings
from dovebeam.pipelines.check.sample import MetricCount, Sample, Trial
from dovebeam.pipelines.check.text import set_here, target_of
from dovebeam.transforms.errors import ConfigProblem
from dovebeam.transforms.filters import value_text

__all__ = ["as_json"]


def as_json(findings: Findings, sample: Sample | None) -> str:
    """The findings, and what became of events if some were tried; indented, without a line's end."""
    config = findings.config
    answer: dict[str, Any] = {
        "usable": not findings.errors,
        "errors": [_problem(each) for each in findings.errors],
        "warnings": [_problem(each) for each in findings.warnings],
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
                "target": target_of(findings, exporter.name),
                "settings": {name: value for name, value, _ in set_here(exporter)},
            }
            for exporter in config.exporters.values()
        ],
    }
    if sample is not None:
        answer["sample"] = _sample(sample)
    return json.dumps(answer, indent=2)


def _problem(problem: ConfigProblem) -> dict[str, str | int]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "suggestion": problem.suggestion,
        "dovecot": problem.dovecot,
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "read": sample.read,
        "no_events": sample.rejected,
        "unnamed": sample.unnamed,
        "metrics": [_count(each) for each in sample.metrics],
        "events": [_trial(each) for each in sample.trials],
    }


def _count(count: MetricCount) -> dict[str, Any]:
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


def _trial(trial: Trial) -> dict[str, Any]:
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
