"""What is wrong with a configuration, what is probably not meant, and what would be done with it; without Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from dovebeam.pipelines.check.names import SeenNames, name_advice
from dovebeam.pipelines.jobs.drivers import examine_drivers
from dovebeam.pipelines.terminal.tables import printable
from dovebeam.transforms.config import SETTINGS, Config, Exporter, Metric, SourcePlace
from dovebeam.transforms.config.loading import Reading
from dovebeam.transforms.config_files import read_config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.errors import ConfigProblem
from dovebeam.transforms.filters import Contradiction, NeverTrue
from dovebeam.transforms.filters.analysis import read_otherwise

__all__ = ["Findings", "examine", "with_name_advice"]


_MAX_FOR_A_METRIC: Final = 5
_MAX_SHOWN: Final = 300
_PREFIX: Final = "event_exporter_"
_NO_EXPORTER: Final = "no metric names an exporter, so nothing will be exported"


def advice(config: Config, path: str) -> list[ConfigProblem]:
    """All warnings about a configuration without errors, in its order.

    Args:
        config: the configuration.
        path: its first file.
    """
    if not any(metric.exporter for metric in config.metrics):
        return [ConfigProblem(path, 0, 0, "", _NO_EXPORTER)]
    return [*_filter_advice(config), *_unused(config), *_of_other_drivers(config)]


def _unused(config: Config) -> Iterator[ConfigProblem]:
    used = {metric.exporter for metric in config.metrics}
    for name, exporter in config.exporters.items():
        if name not in used:
            yield exporter.place.problem(f"event_exporter {name}: no metric names it, so it gets nothing")


def _of_other_drivers(config: Config) -> Iterator[ConfigProblem]:
    """Settings that no exporter which has them uses; what stands outside of blocks may be meant for some of them."""
    places: dict[tuple[str, SourcePlace], list[Exporter]] = {}
    for exporter in config.exporters.values():
        for name in exporter.settings:
            if _drivers_of(name) and exporter.settings.is_explicit(name):
                places.setdefault((name, exporter.settings.place(name)), []).append(exporter)
    for (name, place), exporters in places.items():
        if all(exporter.driver not in _drivers_of(name) for exporter in exporters):
            short, first = SETTINGS[name].short_name, exporters[0]
            message = f"event_exporter {first.name}: {short} has no effect with driver = {first.driver}"
            yield place.problem(message)


def _drivers_of(setting: str) -> tuple[str, ...]:
    """The drivers that have a setting of their own; none for those of Dovecot's HTTP client and TLS, set for all."""
    return SETTINGS[setting].drivers if setting.startswith(_PREFIX) else ()


def _filter_advice(config: Config) -> Iterator[ConfigProblem]:
    """The warnings, in the order of the metrics."""
    for metric in config.metrics:
        for message in dict.fromkeys(_messages(metric)):
            yield metric.place.problem(printable(f"metric {metric.name}: {message}"))


def _messages(metric: Metric) -> Iterator[str]:
    verdict = metric.filter.verdict
    consequence = "" if verdict.can_match else "; the metric matches nothing"
    if not verdict.can_fail:
        consequence = "; the metric matches every event"
    for never in verdict.never_true[:_MAX_FOR_A_METRIC]:
        yield _never_true(never) + consequence
    for contradiction in verdict.contradictions[:_MAX_FOR_A_METRIC]:
        yield _contradiction(contradiction) + consequence
    readings = ((comparison, read_otherwise(comparison)) for comparison in metric.filter.comparisons)
    for comparison, reading in islice((pair for pair in readings if pair[1]), _MAX_FOR_A_METRIC):
        yield f"{_shortened(str(comparison))}: {_shortened(reading)}"
    if metric.filter.mixed:
        meaning = _shortened(metric.filter.explicit)
        yield f"AND and OR bind alike, from the left: this filter means {meaning}; write the parentheses you mean"
    for field in metric.fields:
        if "*" in field or "?" in field:
            yield (
                f"fields has {field}, which is the name of a field here, not a pattern, and no event has such a field; "
                "name the fields, or leave out the setting to export all of them"
            )


def _never_true(never: NeverTrue) -> str:
    if never.reason.startswith("exports hold"):
        return f"{never.comparison} is true of no exported event, since {never.reason}"
    return f"{_shortened(str(never.comparison))} is never true: {_shortened(never.reason)}"


def _contradiction(found: Contradiction) -> str:
    one, other = _shortened(str(found.first)), _shortened(str(found.second))
    if one == other:
        return f"{one} and its opposite are joined, and are never true together"
    has = "an event has one name" if found.first.key == "event" else f"an event has one {found.first.key}"
    if found.always:
        return f"NOT {one} OR NOT {other} is always true, since {has}; to exclude both write AND instead of OR"
    return f"{one} and {other} are never true together, since {has}; for either of them write OR instead of AND"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


# What is wrong with a configuration, what is probably not meant, and what would be done with it; without Beam.


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check.

    Attributes:
        config: as far as it could be understood.
        drivers: by exporter, of those that some metric uses.
        errors: why the configuration cannot be used; all of them.
        warnings: what is probably not meant.
        dovecot_error: of these the one with which Dovecot would stop first, in its words; may be empty.
    """

    config: Config
    drivers: dict[str, Driver]
    errors: tuple[ConfigProblem, ...]
    warnings: tuple[ConfigProblem, ...]
    dovecot_error: str = ""


def examine(paths: Sequence[str], *, here: bool, strict: bool = False) -> Findings:
    """Checks configuration files as an export would at its launch, and more.

    A secret's reference that leads to nothing on this machine is an error at launch, but here a warning: the machine
    that checks need not be the one that runs.

    Args:
        paths: the files, in their order.
        here: whether the job that they are for runs on this machine.
        strict: whether something of a later Dovecot is an error.
    """
    reading = read_config(paths, strict=strict, elsewhere=not here)
    errors = reading.report.problems(fatal=True)
    config = _usable(reading) if errors else reading.config
    found = examine_drivers(config, here=here)
    warnings = [*config.warnings, *found.missing, *found.warnings, *([] if errors else advice(config, paths[0]))]
    problems = (*errors, *_elsewhere(found.errors, errors))
    return Findings(config, found.drivers, problems, tuple(warnings), reading.report.dovecot_error())


def with_name_advice(findings: Findings, seen: SeenNames) -> Findings:
    """The findings, with warnings about names that neither Dovecot nor the events of an input have."""
    if findings.errors:
        return findings
    return dataclasses.replace(findings, warnings=(*findings.warnings, *name_advice(findings.config, seen)))


def _usable(reading: Reading) -> Config:
    """Only what can be looked at further when something is wrong: metrics whose exporter has a format and a target."""
    config = reading.config
    exporters = {name for name, exporter in config.exporters.items() if exporter.format} - reading.unclear
    metrics = tuple(metric for metric in config.metrics if not metric.exporter or metric.exporter in exporters)
    return dataclasses.replace(config, metrics=metrics)


def _elsewhere(problems: Iterable[ConfigProblem], known: Iterable[ConfigProblem]) -> list[ConfigProblem]:
    """The problems at places of which nothing is said yet; a wrong setting is often the cause of both."""
    told = {(problem.path, problem.line) for problem in known}
    return [problem for problem in problems if (problem.path, problem.line) not in told]
