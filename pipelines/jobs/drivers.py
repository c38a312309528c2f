"""Drivers of a job, and all problems of their settings and credentials that are known before it starts; without Beam.

Credentials have two kinds of problems: references that do not exist on this machine, and literal secrets that would
travel with a remote job.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dovebeam.pipelines.terminal.logs import say
from dovebeam.transforms.config import Config, Exporter, SourcePlace, make_driver
from dovebeam.transforms.drivers import Driver, FileDriver
from dovebeam.transforms.drivers.file.settings import shard_clashes
from dovebeam.transforms.drivers.secrets.secret import HOW_TO_REFER, Secret, secrets_in
from dovebeam.transforms.drivers.secrets.secret_url import SecretUrl
from dovebeam.transforms.drivers.setting import setting_name
from dovebeam.transforms.errors import ConfigProblem, DeliveryError, DriverSettingError
from dovebeam.transforms.local_files import is_url

__all__ = ["JobDrivers", "credential_problems", "examine_drivers", "make_drivers"]

_PATH = "event_exporter_file_path"
# Why a literal secret in these fields is refused, and what to write instead; `_REFER` for all others.
_INSTEAD: Final = {
    "http_post_url": (
        "user, password and query of the URL would travel with the job; write the whole URL as "
        f"{HOW_TO_REFER}; or without them, and http_post_auth = basic with http_post_auth_user and "
        "http_post_auth_password, or http_post_query, each by reference; a query that is not secret as "
        "http_post_query = plain:TEXT"
    ),
    "http_client_proxy_url": (
        "user and password of the proxy would travel with the job; write the URL without them, and "
        f"http_client_proxy_username and http_client_proxy_password as {HOW_TO_REFER}"
    ),
}
_REFER: Final = f"the value would travel with the job; write {HOW_TO_REFER} instead, or plain:TEXT if it is not secret"


@dataclass(frozen=True, slots=True)
class JobDrivers:
    """Drivers of all exporters that some metric uses.

    Attributes:
        drivers: by name of exporter; those with invalid settings are left out.
        errors: invalid settings.
        missing: references to secrets that do not exist on this machine; empty for a remote job.
        warnings: settings that are right only if the operator has prepared the workers.
    """

    drivers: dict[str, Driver]
    errors: list[ConfigProblem]
    missing: list[ConfigProblem]
    warnings: list[ConfigProblem]


def examine_drivers(config: Config, *, local: bool) -> JobDrivers:
    """Makes the drivers of a job and checks them; no target is touched.

    Args:
        config: with the exporters.
        local: whether the job runs on this machine.
    """
    drivers, errors = _make(config)
    credentials = credential_problems(config, drivers, local=local)
    if not local:
        errors += credentials
    errors += _file_problems(config, drivers, local=local)
    return JobDrivers(drivers, errors, credentials if local else [], _file_warnings(config, drivers, local=local))


def make_drivers(config: Config, *, local: bool) -> dict[str, Driver] | None:
    """Drivers of all exporters in use; None after printing all problems if there are any.

    Args:
        config: with the exporters.
        local: whether the job runs on this machine.
    """
    found = examine_drivers(config, local=local)
    problems = found.errors + found.missing
    for warning in found.warnings:
        say(f"warning: {warning}")
    for problem in problems:
        say(f"error: {problem}")
    return None if problems else found.drivers


def _make(config: Config) -> tuple[dict[str, Driver], list[ConfigProblem]]:
    drivers, errors = {}, []
    for name in dict.fromkeys(metric.exporter for metric in config.metrics if metric.exporter):
        exporter = config.exporters[name]
        try:
            drivers[name] = make_driver(exporter)
        except DriverSettingError as error:
            # A setting may have its default, which has no place; then the problem is shown at the exporter's block.
            for problem in (error, *error.others):
                known = problem.setting in exporter.settings
                place = exporter.settings.place(problem.setting) if known else exporter.place
                errors.append(place.problem(str(problem)))
    return drivers, errors


def _file_problems(config: Config, drivers: Mapping[str, Driver], *, local: bool) -> list[ConfigProblem]:
    """Problems of files as targets.

    Args:
        config: with the places of settings.
        drivers: of the job, by exporter.
        local: whether it runs on this machine. Remote workers come and go, each with its own disk, so appending to a
            file would leave parts of it on several machines.
    """
    found = [_place(config.exporters[name]).problem(str(error)) for name, error in shard_clashes(drivers).items()]
    for name, driver in drivers.items():
        if not local and isinstance(driver, FileDriver) and driver.file_writing == "append":
            message = (
                f"event_exporter {name}: {_PATH}: the job is remote, and each worker would append to a file on its own "
                "machine; add file_writing = shards, best with a gs:// path"
            )
            found.append(_place(config.exporters[name]).problem(message))
    return found


def _file_warnings(config: Config, drivers: Mapping[str, Driver], *, local: bool) -> list[ConfigProblem]:
    """Settings that are right only if the operator has prepared the workers; arguments as for `_file_problems`."""
    if local:
        return []
    return [
        _place(config.exporters[name]).problem(
            f"event_exporter {name}: the job is remote; all its workers must have {driver.base} mounted, or it will "
            "fail (name a gs:// path if they have not)"
        )
        for name, driver in drivers.items()
        if isinstance(driver, FileDriver) and driver.file_writing == "shards" and not is_url(driver.base)
    ]


def _place(exporter: Exporter) -> SourcePlace:
    return exporter.settings.place(_PATH) if _PATH in exporter.settings else exporter.place


def credential_problems(config: Config, drivers: Mapping[str, Driver], *, local: bool) -> list[ConfigProblem]:
    """Problems of the secrets of a job.

    Args:
        config: with the places of settings.
        drivers: of the job, by exporter.
        local: whether it runs on this machine. Then references are looked up now, so that a missing variable is found
            before anything is read. For a remote job literal secrets are refused.
    """
    found = []
    for name, driver in drivers.items():
        exporter = config.exporters[name]
        for problem in _missing(driver) if local else _written_out(driver):
            known = problem.setting in exporter.settings
            place = exporter.settings.place(problem.setting) if known else exporter.place
            found.append(place.problem(str(problem.of(name))))
    return found


def _written_out(driver: Driver) -> Iterator[DriverSettingError]:
    for name, setting, secrets in _fields_with_secrets(driver):
        if any(secret.is_literal for secret in secrets):
            yield DriverSettingError(setting, _INSTEAD.get(name, _REFER))


def _missing(driver: Driver) -> Iterator[DriverSettingError]:
    """References to variables and files of this machine that do not exist; Secret Manager is asked by workers.

    A URL that is given by reference must be valid, too.
    """
    for name, setting, secrets in _fields_with_secrets(driver):
        value = getattr(driver, name)
        whole = [value] if isinstance(value, SecretUrl) and value.whole.is_local else []
        for secret in whole or secrets:
            # Revealing is the check; the text itself is not kept.
            try:
                if isinstance(secret, SecretUrl) or secret.is_local:
                    secret.reveal(setting)
            except DeliveryError as error:
                yield DriverSettingError(setting, error.message.removeprefix(f"{setting}: "))


def _fields_with_secrets(driver: Driver) -> Iterator[tuple[str, str, list[Secret]]]:
    """Name, full name of the setting, and secrets of each field that has any."""
    for field in dataclasses.fields(driver):  # type: ignore[arg-type]  # every driver is a dataclass
        secrets = list(secrets_in(getattr(driver, field.name)))
        if secrets:
            yield field.name, setting_name(field.name), secrets
