"""What is wrong with a configuration, what is probably not meant, and what would be done with it; without Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dovebeam.pipelines.check.advice import advice
from dovebeam.pipelines.check.names import SeenNames, name_advice
from dovebeam.pipelines.jobs.drivers import examine_drivers
from dovebeam.transforms.config import Config
from dovebeam.transforms.config.loading import Reading
from dovebeam.transforms.config_files import read_config
from dovebeam.transforms.drivers import Driver
from dovebeam.transforms.errors import ConfigProblem

__all__ = ["Findings", "examine", "with_name_advice"]


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
