"""The drivers of a job, and everything that is wrong with them that can be told before the job starts; without Beam."""

from __future__ import annotations

from dataclasses import dataclass

from dovebeam.pipelines.jobs.credentials import credential_problems
from dovebeam.pipelines.jobs.file_targets import file_problems, file_warnings
from dovebeam.transforms.config import Config
from dovebeam.transforms.drivers import Driver, make_driver
from dovebeam.transforms.errors import ConfigProblem, DriverSettingError

__all__ = ["JobDrivers", "examine_drivers"]


@dataclass(frozen=True, slots=True)
class JobDrivers:
    """The drivers of all exporters that some metric uses.

    Attributes:
        drivers: by name of exporter; those that can never work are left out.
        errors: what is wrong with the settings.
        missing: references to secrets that lead to nothing on this machine; empty for a job that runs elsewhere.
        warnings: what is only right if the operator has seen to it.
    """

    drivers: dict[str, Driver]
    errors: list[ConfigProblem]
    missing: list[ConfigProblem]
    warnings: list[ConfigProblem]


def examine_drivers(config: Config, *, here: bool) -> JobDrivers:
    """Makes the drivers of a job; no target is touched.

    Args:
        config: whose exporters they are.
        here: whether the job runs on this machine.
    """
    drivers, errors = _make(config)
    credentials = credential_problems(config, drivers, here=here)
    if not here:
        errors += credentials
    errors += file_problems(config, drivers, here=here)
    return JobDrivers(drivers, errors, credentials if here else [], file_warnings(config, drivers, here=here))


def _make(config: Config) -> tuple[dict[str, Driver], list[ConfigProblem]]:
    drivers, errors = {}, []
    for name in dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter):
        exporter = config.exporters[name]
        try:
            drivers[name] = make_driver(exporter)
        except DriverSettingError as error:
            for problem in (error, *error.others):
                known = problem.setting in exporter.settings
                place = exporter.settings.place(problem.setting) if known else exporter.place
                errors.append(place.problem(str(problem)))
    return drivers, errors
